package nft

import (
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/pattern"
)

const (
	flowtableOffload = 1 // NFT_FLOWTABLE_HW_OFFLOAD
	flowtableCounter = 2 // NFT_FLOWTABLE_COUNTER
)

// flowtable follows flowtable_print_declaration.
func (w tableWriter) flowtable(f *rules.Flowtable) {
	w.line("\tflowtable %s {", Escape(f.Name))
	w.line("\t\thook %s priority %s", f.Hook, PriorityText(rules.FamilyNetdev, f.Hook, f.Priority))
	if len(f.Devices) > 0 {
		w.line("\t\tdevices = %s", devicesText(f.Devices))
	}
	if f.Flags&flowtableOffload != 0 {
		w.line("\t\tflags offload")
	}
	if f.Flags&flowtableCounter != 0 {
		w.line("\t\tcounter")
	}
	w.line("\t}")
}

// devicesText is several devices by name; nft 1.0.6 writes them without quotes, which
// not every name can do without.
func devicesText(devices []rules.Device) string {
	var out []string
	devices = slices.SortedFunc(slices.Values(devices), func(a, b rules.Device) int { return strings.Compare(a.String(), b.String()) })
	for _, d := range devices {
		n := d.String()
		if !bareName.MatchString(n) {
			n = quote(n)
		}
		out = append(out, n)
	}
	return "{ " + strings.Join(out, ", ") + " }"
}

// bareName is what nft's scanner takes for a string.
var bareName = pattern.New(`^[A-Za-z_.][A-Za-z0-9/_.-]*$`)
