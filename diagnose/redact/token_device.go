package redact

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// deviceTokens keep names of devices in the prefixes that rules compare. Where
// a prefix begins a name that stays (eth, of eth0), it stays itself; another
// gets a beginning of its own. A token begins as one of these exactly when the
// name begins with its prefix.
type deviceTokens struct {
	names    *names
	prefixes []devicePrefix // longest first
	stem     string         // of names with no prefix
}

type devicePrefix struct{ text, token string }

// deviceStems begin the tokens of names that have no prefix: the first that
// rules compare no part of.
var deviceStems = []string{"dev-", "nic-", "if-", "link-", "port-", "z-"}

// prefixStem begins what stands for a prefix. No device that stays begins so,
// nor with the last of deviceStems.
const prefixStem = "q"

func newDeviceTokens(n *names, prefixes map[string]bool) deviceTokens {
	d := deviceTokens{names: n, stem: deviceStems[0]}
	all := sortedKeys(prefixes, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) })
	depth := 0
	for _, p := range all {
		n := 0
		for _, q := range all {
			if strings.HasPrefix(p, q) && !beginsKnownDevice(q) {
				n++
			}
		}
		depth = max(depth, n)
	}
	each := 3
	if depth > 3 {
		each = max(1, 9/depth)
	}
	for _, p := range all { // a shorter one comes before those that begin with it
		if beginsKnownDevice(p) {
			d.add(p, p)
		}
	}
	for _, p := range all {
		if beginsKnownDevice(p) {
			continue
		}
		parent := d.longest(p)
		stem := parent
		if stem == "" {
			stem = prefixStem
		}
		for try := 0; ; try++ {
			token := stem + n.letters('P', p, try, each)
			if try > 4096 || d.fits(p, token) && !d.begun(p, token) {
				d.add(p, token)
				n.back[token] = Name{Device, p}
				n.found.put(Device, token, p)
				break
			}
		}
	}
	for _, stem := range deviceStems {
		if !slices.ContainsFunc(d.prefixes, func(p devicePrefix) bool { return strings.HasPrefix(stem, p.token) }) {
			d.stem = stem
			break
		}
	}
	return d
}

func (d *deviceTokens) add(p, token string) {
	d.prefixes = append(d.prefixes, devicePrefix{p, token})
	slices.SortStableFunc(d.prefixes, func(a, b devicePrefix) int { return cmp.Compare(len(b.text), len(a.text)) })
}

// longest is what a name begins with afterwards, as far as prefixes say.
func (d *deviceTokens) longest(name string) string {
	for _, p := range d.prefixes {
		if strings.HasPrefix(name, p.text) {
			return p.token
		}
	}
	return ""
}

// fits tells whether a token begins as those prefixes do that the name has, and
// as no other.
func (d *deviceTokens) fits(name, token string) bool {
	for _, p := range d.prefixes {
		if strings.HasPrefix(name, p.text) != strings.HasPrefix(token, p.token) {
			return false
		}
	}
	return true
}

// begun tells whether a prefix that p does not begin with begins as token does.
func (d *deviceTokens) begun(p, token string) bool {
	return slices.ContainsFunc(d.prefixes, func(q devicePrefix) bool {
		return strings.HasPrefix(q.token, token) && !strings.HasPrefix(q.text, p)
	})
}

// token is a try at the name's token.
func (d *deviceTokens) token(name Name, try int) (string, bool) {
	begin := d.longest(name.Text)
	if stem := knownStem(name.Text); len(stem) > len(begin) && strings.HasPrefix(stem, begin) {
		begin = stem
	}
	if begin == "" {
		begin = d.stem
	}
	n := min(tokenLength, max(deviceLength-len(begin), 2))
	t := begin + d.names.letters(byte(Device), name.Text, try, n)
	return t, d.fits(name.Text, t)
}

// knownStem is what a name begins with that says what sort of device it is.
func knownStem(name string) string {
	fixed, _ := rules.OwnerFixed(rules.OwnerDevice, name)
	n := 0
	for n < len(fixed) && fixed[n] {
		n++
	}
	if n > 0 {
		return name[:n]
	}
	for _, s := range sortStems {
		if strings.HasPrefix(name, s) {
			return s
		}
	}
	return ""
}

// beginsKnownDevice tells whether p begins a name that stays.
func beginsKnownDevice(p string) bool {
	for _, w := range knownDevices {
		if strings.HasPrefix(w, p) {
			return true
		}
	}
	for _, w := range sortStems {
		if strings.HasPrefix(w, p) {
			return true
		}
	}
	for _, w := range numberedDevices {
		if strings.HasPrefix(w, p) || strings.HasPrefix(p, w) && isNumber(p[len(w):]) {
			return true
		}
	}
	return false
}

// isPrefix tells whether a token stands for a prefix.
func (d *deviceTokens) isPrefix(token string) bool {
	return slices.ContainsFunc(d.prefixes, func(p devicePrefix) bool { return p.token == token })
}
