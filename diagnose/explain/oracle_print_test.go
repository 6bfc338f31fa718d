//go:build linux

package explain_test

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/rules"
)

func printExplanation(x *explain.Explanation) string {
	var b strings.Builder
	o, p := x.Flow.Original, x.Flow.Reply
	fmt.Fprintf(&b, "  entry %d proto %d  %s %d > %s %d  reply %s %d > %s %d  status %#x in %q out %q why none %q\n", x.Flow.ID, o.Proto,
		o.Src, o.SrcPort, o.Dst, o.DstPort, p.Src, p.SrcPort, p.Dst, p.DstPort, uint32(x.Flow.Status), x.In, x.Out, x.WhyNone)
	for _, rw := range x.Rewrites {
		fmt.Fprintf(&b, "  %s %v > %v cause %s grade %s assumed %q unknown %q note %q\n", rw.Manip, rw.From, rw.To, rw.Cause, rw.Grade, rw.Assumed, rw.Unknown, rw.Note)
		for _, u := range rw.Rules {
			fmt.Fprintf(&b, "    named %s: %s\n", describe(u), u.Text)
		}
		for _, m := range rw.Not {
			fmt.Fprintf(&b, "    not   %s: %s\n", describe(m.Rule), m.Why)
		}
	}
	for _, s := range x.Path {
		if s.Chain == nil {
			continue
		}
		h := uint64(0)
		if s.Rule != nil {
			h = s.Rule.Handle
		}
		fmt.Fprintf(&b, "    path  %s %s %s handle %d %s %s\n", s.Hook, s.Chain.Table.Name, s.Chain.Name, h, s.Result, s.Why)
	}
	return b.String()
}

func describe(r *rules.Rule) string {
	if r == nil {
		return "(policy)"
	}
	return fmt.Sprintf("%s %s %s handle %d", r.Chain.Table.Family, r.Chain.Table.Name, r.Chain.Name, r.Handle)
}
