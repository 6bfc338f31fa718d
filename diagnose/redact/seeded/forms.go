package seeded

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Name is in every name, and in no other word.
const Name = "corpsec"

// MAC is the hardware address.
const MAC = "02:77:88:99:aa:bb"

// every address begins as one of these, and no other does.
var nets = []string{"10.77.88.", "203.0.177.", "2001:4d58:77aa:"}

// Form is one way to write what is secret.
type Form struct {
	What, Text string
	// Number: digits beside it make another number of it.
	Number bool
	// Seeded: what is not redacted holds it.
	Seeded bool
}

// In finds the form in text, -1 when it is not there. lower is text in small
// letters.
func (f *Form) In(text, lower string) int {
	if !f.Number {
		if i := strings.Index(text, f.Text); i >= 0 {
			return i
		}
		return strings.Index(lower, f.Text)
	}
	isDigit := func(i int) bool { return i >= 0 && i < len(text) && text[i] >= '0' && text[i] <= '9' }
	for from := 0; ; {
		i := strings.Index(text[from:], f.Text)
		if i < 0 {
			return -1
		}
		if i += from; !isDigit(i-1) && !isDigit(i+len(f.Text)) {
			return i
		}
		from = i + 1
	}
}

var (
	quads  = regexp.MustCompile(`\b(10\.77\.88|203\.0\.177)\.\d+`)
	groups = regexp.MustCompile(`\b2001:4d58:77aa:[0-9a-f:]+`)
	names  = regexp.MustCompile(`(?i)[a-z0-9_-]*corpsec[a-z0-9_-]*`)
)

// Names are those that rules and ipsets hold.
func Names() []string {
	out := names.FindAllString(nftRules+ipsets+iptablesRules, -1)
	slices.Sort(out)
	return slices.Compact(out)
}

// Forms are all ways in which a file could hold a name or an address.
func Forms() []Form {
	out := []Form{
		{What: "text of a name", Text: Name, Seeded: true},
		{What: "hardware address", Text: MAC, Seeded: true},
		{What: "hardware address with dashes", Text: strings.ReplaceAll(MAC, ":", "-")},
		{What: "vendor", Text: MAC[:8], Seeded: true},
	}
	for _, n := range nets {
		out = append(out, Form{What: "text of an address", Text: n, Seeded: true})
	}
	out = append(out, bytesOf("name", []byte(Name))...)
	out = append(out, bytesOf("hardware address", []byte{0x02, 0x77, 0x88, 0x99, 0xaa, 0xbb})...)
	all := nftRules + ipsets + iptablesRules
	texts := append(quads.FindAllString(all, -1), groups.FindAllString(all, -1)...)
	slices.Sort(texts)
	for _, text := range slices.Compact(texts) {
		a := netip.MustParseAddr(text)
		b := a.AsSlice()
		out = append(out, bytesOf(text, b)...)
		if a.Is6() {
			out = append(out, bytesOf("network of "+text, b[:6])...)
			out = append(out, Form{What: text + " in full", Text: a.StringExpanded()})
			continue
		}
		v, swapped := binary.BigEndian.Uint32(b), binary.LittleEndian.Uint32(b)
		out = append(out, Form{What: text + " in hex, as a number", Text: fmt.Sprintf("0x%x", v)},
			Form{What: text + " as a number", Text: fmt.Sprint(v), Number: true},
			Form{What: text + " as a number, swapped", Text: fmt.Sprint(swapped), Number: true},
			Form{What: text + " mapped", Text: "::ffff:" + fmt.Sprintf("%x:%x", v>>16, v&0xffff)})
	}
	return out
}

// bytesOf are the forms of bytes: as they are and turned round, in hexadecimal,
// and in base64 wherever they may stand in it.
func bytesOf(what string, b []byte) []Form {
	back := slices.Clone(b)
	slices.Reverse(back)
	out := []Form{
		{What: what + " in binary", Text: string(b)},
		{What: what + " in binary, turned round", Text: string(back)},
		{What: what + " in hex", Text: hex.EncodeToString(b)},
		{What: what + " in hex, turned round", Text: hex.EncodeToString(back)},
		{What: what + " in hex with colons", Text: strings.ReplaceAll(fmt.Sprintf("% x", b), " ", ":")},
		{What: what + " in hex with spaces", Text: fmt.Sprintf("% x", b)},
	}
	if words := len(b) / 4; words > 1 && len(b)%4 == 0 {
		turned := slices.Clone(b)
		for i := range words {
			slices.Reverse(turned[4*i : 4*i+4])
		}
		out = append(out, Form{What: what + " in hex, each word turned round", Text: hex.EncodeToString(turned)})
	}
	for before := range 3 {
		// the digits that no other byte has a part in
		digits := base64.StdEncoding.EncodeToString(append(make([]byte, before), b...))
		out = append(out, Form{What: what + " in base64", Text: digits[(before*8+5)/6 : (before+len(b))*8/6]})
	}
	return out
}
