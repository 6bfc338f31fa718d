package invalid

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// argWords stand for the values of a wording; numbers are N.
var argWords = map[Arg]string{ArgState: "STATE", ArgAddrs: "ADDRESS", ArgHelper: "NAME"}

// Wording is what the newest kernel that has the reason prints, without the
// prefix that names the protocol; words in capitals stand for values.
func (r *Reason) Wording() string {
	f := r.newest()
	text := f.Text
	if strings.HasPrefix(text, prefixNamed) {
		_, text, _ = strings.Cut(text, ": ")
	}
	for strings.HasPrefix(text, prefixCore+prefixCore) {
		text = text[len(prefixCore):]
	}
	if strings.HasSuffix(text, suffixAte) {
		return "DEVICE" + suffixAte
	}
	var b strings.Builder
	for _, p := range split(text, f.Args) {
		b.WriteString(p.text)
		switch word := argWords[p.arg]; {
		case p.verb == 0:
		case word != "":
			b.WriteString(word)
		case p.verb == 's':
			b.WriteString("WORDS")
		default:
			b.WriteString("N")
		}
	}
	return b.String()
}

// newest is the form that the newest kernel prints, the first of several.
func (r *Reason) newest() *Form {
	best := &r.Forms[0]
	for i := range r.Forms {
		if f := &r.Forms[i]; best.Before.Known() && (!f.Before.Known() || best.Before.In(host.Release{}, f.Before)) {
			best = f
		}
	}
	return best
}

// Gone is the first kernel that no longer prints r, zero when the newest does.
func (r *Reason) Gone() host.Release { return r.newest().Before }

// Outcome says what becomes of the packet on the newest kernels, in counters:
// "invalid", "accepted", "accepted; before 6.1 invalid".
func (r *Reason) Outcome() string {
	switch {
	case r.Accepted && r.AcceptedSince.Known():
		return "accepted; before " + r.AcceptedSince.String() + " " + strings.Join(r.Moved(host.Release{Major: 1}), " and ")
	case r.Accepted:
		return "accepted"
	case r.Again:
		return "a second line about one packet"
	}
	if now := r.Moved(host.Release{}); len(now) > 0 {
		return strings.Join(now, " and ")
	}
	return "dropped, no counter"
}
