package explain

import (
	"fmt"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// attribute turns a search into the answer for one rewrite.
func (j *job) attribute(rw host.Rewrite, st *stage) Rewrite {
	out := Rewrite{Rewrite: rw, Cause: CauseRule, Grade: st.grade}
	if j.followedMaster() {
		out.Cause, out.Grade = CauseHelper, GradeNone
		out.Note = "expected by a connection tracking helper: the rewrite follows the master connection, no nat rule was asked"
		return out
	}
	if len(st.fits) == 0 {
		j.noRule(&out, st)
	} else {
		for i := range st.fits {
			out.Rules = append(out.Rules, st.fits[i].Rule)
		}
		out.Assumed = j.assumedText(st)
		out.Unknown = unknownText(st)
		out.Note = j.noteOn(st)
		if len(st.fits) == 1 {
			out.Via, out.Marks = st.fits[0].Via, j.marks(st)
		}
	}
	if j.opt.Not {
		out.Not = j.misses(st)
	}
	return out
}

// followedMaster tells whether the rewrite follows the master connection
// (nf_nat_follow_master). Where the master is not rewritten a helper leaves
// the flow to the nat chains. What the server opens towards the client then
// goes between the master's own original addresses; anything else is a rule's.
func (j *job) followedMaster() bool {
	if !j.f.Status.Has(host.StatusExpected) {
		return false
	}
	m := j.f.Master
	if j.f.Has&host.HasMaster == 0 || j.f.Original.Src == m.Src {
		return true
	}
	return j.f.Reply.Src == m.Src && j.f.Reply.Dst == m.Dst
}

// noteOn adds what the operator should know of rules that were found.
func (j *job) noteOn(st *stage) string {
	switch {
	case st.dropper != "":
		return fmt.Sprintf("the flow is older than %s, which drops such packets now", st.dropper)
	case st.unruled:
		return "or no rule: the null binding changes the source port too, when it is taken"
	case st.refuted && !st.used.Has(rules.FromChainOrder):
		return "not by the device that routes give now: the flow took another way then"
	case st.shadowed:
		return fmt.Sprintf("the flow is older than %s, which takes such packets now", packet.RuleName(st.blocker.Rule))
	case st.used.Has(rules.FromChainOrder):
		return "two tables have a nat chain of this priority: which runs first depends on which was made last, and handles tell that only inside a table"
	case st.grade == GradeInferred && j.neverHit(st.fits[0].Rule):
		return "the rule's counter is 0: the flow is older than the rule, or the counter was reset"
	}
	if len(st.weak) > 0 {
		return fmt.Sprintf("had %s been otherwise, %s would have made the same rewrite", givenUp(st.weakBy), packet.RuleName(st.weak[0].Rule))
	}
	return ""
}

// givenUp names the assumptions without which another rule would have made the
// rewrite.
func givenUp(by rules.Sources) string {
	var out []string
	for _, s := range by.List() {
		out = append(out, "the "+strings.TrimPrefix(s.String(), "the "))
	}
	if len(out) == 0 {
		return "what is assumed"
	}
	return strings.Join(out, " or ")
}

// noRule says what else made the rewrite when no present rule can have.
func (j *job) noRule(out *Rewrite, st *stage) {
	out.Grade = GradeNone
	switch {
	case j.f.IsICMP() && out.From.Addr == out.To.Addr:
		out.Cause = CausePortClash
		out.Note = "no rule: the reply tuple was taken, so the null binding chose another id (nf_nat_alloc_null_binding)"
	case out.Manip == rules.ManipSrc && out.From.Addr == out.To.Addr:
		out.Cause = CausePortClash
		out.Note = "no rule: the reply tuple was taken, so the null binding chose another source port (nf_nat_alloc_null_binding)"
	case j.f.Has&host.HasCounters != 0 && j.f.Orig.Packets == 0:
		out.Cause = CauseInserted
		out.Note = "no packet was ever counted in the original direction: the entry was made through ctnetlink, or its counters were zeroed"
	default:
		out.Cause = CauseRuleGone
		out.Note = "the rule that made this rewrite is gone or changed, or the entry was made through ctnetlink"
	}
	if rule := j.asleep(st, true); rule != "" {
		out.Note += "; " + rule
	}
	if b := st.blocker; b != nil {
		out.Note += "; a new packet would meet " + packet.RuleName(b.Rule)
	}
}

// assumedText says what was assumed on the way to the rules, and from what.
func (j *job) assumedText(st *stage) []string {
	var on rules.Sources
	for i := range st.fits {
		on |= st.fits[i].Answer.Assumed
	}
	on |= addressRests(st)
	var out []string
	for _, s := range on.List() {
		out = append(out, j.assumption(s, st))
	}
	return out
}

func (j *job) assumption(s rules.Source, st *stage) string {
	confirmed := ""
	if st.grade == GradeExact && st.confirmed.Has(s) {
		confirmed = ", confirmed by the rewrite"
	}
	switch s {
	case rules.FromIif:
		from := "from reverse path"
		if confirmed == "" && st.hook == rules.Prerouting && j.strictArrival() {
			confirmed = ", which strict reverse path filtering asks for"
		}
		if st.manip == rules.ManipDst && st.route.Type == rules.AddrLocal {
			from = "from the address asked for"
		}
		return fmt.Sprintf("iif %s %s%s", nft.Escape(st.before.Iif.Link.Name), from, confirmed)
	case rules.FromOif:
		if st.route.Type == rules.AddrLocal {
			return fmt.Sprintf("oif %s from local delivery%s", nft.Escape(st.before.Oif.Link.Name), confirmed)
		}
		return fmt.Sprintf("oif %s from route %s%s", nft.Escape(st.before.Oif.Link.Name), routeText(st.route), confirmed)
	case rules.FromMark:
		return "packet mark 0 on arrival" + confirmed
	case rules.FromTCPHeader:
		return "first packet is a SYN"
	case rules.FromLink:
		return "frame without a VLAN tag"
	case rules.FromRoute:
		return "routes and addresses as they are now"
	case rules.FromSet:
		return "set elements as they are now"
	}
	return s.String() + " as now"
}

func routeText(r rules.Route) string {
	switch {
	case !r.Prefix.IsValid():
		return "not known"
	case r.Prefix.Bits() == 0:
		return "default"
	}
	return r.Prefix.String()
}

func unknownText(st *stage) []string {
	var open rules.Sources
	for i := range st.fits {
		open |= st.fits[i].Answer.Unknown
	}
	var out []string
	for _, s := range open.List() {
		out = append(out, s.String())
	}
	return out
}

// misses are the NAT rules that came before the one found and did not match,
// or all of them when none was found, with the first condition that failed.
func (j *job) misses(st *stage) []Miss {
	var out []Miss
	found := map[*rules.Rule]bool{}
	for i := range st.fits {
		found[st.fits[i].Rule] = true
	}
	fit := map[*rules.Rule]*walk.Candidate{}
	for i := range st.all {
		fit[st.all[i].Rule] = &st.all[i]
	}
	for i := range st.steps {
		s := &st.steps[i]
		if s.Rule == nil || found[s.Rule] {
			if s.Rule != nil && len(found) == 1 {
				break
			}
			continue
		}
		if c := fit[s.Rule]; c != nil {
			out = append(out, Miss{s.Rule, "would have made another rewrite"})
		} else if s.Result == rules.No && packet.NATBearing(s.Rule, st.hook) {
			out = append(out, Miss{s.Rule, packet.Why(s, packet.Order(j.host))})
		}
	}
	return out
}

// whyNone says why an entry without a rewrite has none.
func (j *job) whyNone(dst, src *stage) string {
	const done = host.StatusSrcNATDone | host.StatusDstNATDone
	now := matchesNow(dst)
	if now == nil {
		now = matchesNow(src)
	}
	var parts []string
	switch {
	case j.f.Status&done == 0:
		parts = append(parts, "confirmed before NAT was set up here: its packets no longer meet the nat chains")
	case j.f.Status&done != done:
		parts = append(parts, "NAT was set up for one direction only")
	}
	switch {
	case j.unmet != nil:
		parts = append(parts, j.socketText())
	case now != nil:
		parts = append(parts, fmt.Sprintf("a rule matches now but the flow is older: %s", packet.RuleName(now.Rule)))
	case len(dst.fits)+len(src.fits) > 0 && j.f.Status&done != 0:
		for _, st := range []*stage{dst, src} {
			if len(st.fits) > 0 {
				parts = append(parts, unchanging(st))
			}
		}
	}
	if len(parts) == 0 {
		parts = append(parts, noneMatched(dst, src))
	}
	for _, st := range []*stage{dst, src} {
		if rule := j.asleep(st, false); rule != "" {
			parts = append(parts, rule)
		}
	}
	return strings.Join(parts, "; ")
}

func noneMatched(dst, src *stage) string {
	why := "no rule matched"
	sep := ": "
	for _, st := range []*stage{dst, src} {
		if r := exemption(st); r != nil {
			why += sep + packet.RuleName(r) + " lets it pass those after it"
			sep = ", "
		}
	}
	return why
}

// unchanging names the rules whose rewrite leaves the packet as it is.
func unchanging(st *stage) string {
	if len(st.fits) == 1 && st.fits[0].Answer.Truth == rules.Yes && !st.refuted && !st.orderOpen {
		return packet.RuleName(st.fits[0].Rule) + " applies and changes nothing"
	}
	var names []string
	for i := range st.fits {
		names = append(names, packet.RuleName(st.fits[i].Rule))
	}
	return strings.Join(names, " or ") + " may apply, and changes nothing"
}

func matchesNow(st *stage) *walk.Candidate {
	if st.blocker != nil {
		return st.blocker
	}
	return nil
}
