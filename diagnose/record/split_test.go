package record

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// state is a table of one chain with the rules "HANDLE TEXT".
func state(generation uint32, lines ...string) *host.Snapshot {
	rs := &rules.Ruleset{Generation: generation, Order: binary.NativeEndian}
	t := &rules.Table{Ruleset: rs, Backend: rules.BackendNft, Family: rules.FamilyIPv4, Name: "nat", Handle: 1}
	c := &rules.Chain{Table: t, Name: "pre"}
	t.Chains, rs.Tables = []*rules.Chain{c}, []*rules.Table{t}
	for i, line := range lines {
		r := &rules.Rule{Chain: c, Position: i + 1}
		handle, text, _ := strings.Cut(line, " ")
		fmt.Sscan(handle, &r.Handle)
		r.Text = text
		c.Rules = append(c.Rules, r)
	}
	return &host.Snapshot{Rules: rs}
}

func transaction(generation uint32, program string, handles ...uint64) capture.Transaction {
	t := capture.Transaction{At: time.Unix(int64(generation), 0), Generation: generation, Program: program, Touched: map[capture.Touch]struct{}{}}
	for _, h := range handles {
		t.Touched[capture.Touch{Kind: capture.TouchRule, Family: "ip", Table: "nat", Name: "pre", Handle: h}] = struct{}{}
	}
	return t
}

func partial(t capture.Transaction) capture.Transaction { t.Partial = true; return t }

// ops are the changes of rules in short.
func ops(c *history.Change) (out []string) {
	for i := range c.Rules.Rules {
		x := &c.Rules.Rules[i]
		out = append(out, fmt.Sprintf("%s %s", x.Op, x.Text))
	}
	for i := range c.Rules.Sets {
		for _, e := range c.Rules.Sets[i].Elements {
			out = append(out, fmt.Sprintf("%s %s: %s", c.Rules.Sets[i].Set, e.Op, e.Text))
		}
	}
	for _, x := range c.Rules.Objects {
		out = append(out, fmt.Sprintf("%s %s %s", x.Op, x.What, x.Name))
	}
	for _, x := range c.Rules.Reloaded {
		out = append(out, fmt.Sprintf("reloaded %s %d", x.Chain, x.Rules))
	}
	return out
}

// told is a record in short: who, of which generation, what.
func told(c *history.Change) string {
	var by []string
	for _, a := range c.By {
		by = append(by, a.Program)
	}
	return fmt.Sprintf("%d %s %q", c.Generation, strings.Join(by, "|"), ops(c))
}

func TestSplit(t *testing.T) {
	before := state(10, "4 a", "5 b")
	both := state(12, "4 a", "6 c", "7 d")
	for _, tc := range []struct {
		name    string
		after   *host.Snapshot
		ts      []capture.Transaction
		unheard int
		want    []string
		note    string
	}{
		{"one", both, []capture.Transaction{transaction(12, "nft", 5, 6, 7)}, 0, []string{`12 nft ["removed b" "added c" "added d"]`}, ""},
		{"one whose messages did not all come", both, []capture.Transaction{partial(transaction(12, "nft"))}, 0, []string{`12 nft ["removed b" "added c" "added d"]`}, ""},
		{"two", both, []capture.Transaction{transaction(11, "nft", 5, 6), transaction(12, "fw", 7)}, 0,
			[]string{`11 nft ["removed b" "added c"]`, `12 fw ["added d"]`}, ""},
		{"the last that touched it", both, []capture.Transaction{transaction(11, "nft", 5, 6, 7), transaction(12, "fw", 7)}, 0,
			[]string{`11 nft ["removed b" "added c"]`, `12 fw ["added d"]`}, ""},
		{"one left nothing", both, []capture.Transaction{transaction(11, "nft", 99), transaction(12, "fw", 5, 6, 7)}, 0,
			[]string{`12 fw ["removed b" "added c" "added d"]`}, ""},
		{"one of which not all is known", both, []capture.Transaction{partial(transaction(11, "nft")), transaction(12, "fw", 7)}, 0,
			[]string{`12 fw ["added d"]`, `12 nft ["removed b" "added c"]`}, ""},
		{"one unheard", both, []capture.Transaction{transaction(12, "fw", 7)}, 1,
			[]string{`12 fw ["added d"]`, `12  ["removed b" "added c"]`}, "who made it is not known: the kernel had more to tell than the buffer held (1 transactions)"},
		{"nothing heard", both, nil, 2, []string{`12  ["removed b" "added c" "added d"]`}, "who made it is not known: the kernel had more to tell than the buffer held (2 transactions)"},
		{"no difference", state(12, "4 a", "5 b"), []capture.Transaction{transaction(12, "nft", 9)}, 0, nil, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var got []string
			note := ""
			for _, c := range nftChanges(&capture.Changed{Part: capture.PartNft, Before: before, After: tc.after, Transactions: tc.ts, Unheard: tc.unheard, Overrun: true}) {
				got, note = append(got, told(c)), note+c.Note
			}
			if d := cmp.Diff(tc.want, got); d != "" || note != tc.note {
				t.Errorf("note %q\n%s", note, d)
			}
		})
	}
}

// What could not be read is a gap; what was not there to compare with is too.
func TestGaps(t *testing.T) {
	missing := []host.Missing{{What: "nftables ruleset", Why: "it changed while it was read"}}
	from, to := time.Unix(5, 0), time.Unix(9, 0)
	for _, c := range []*capture.Changed{
		{Part: capture.PartNft, Before: state(1), After: state(1), Since: from, At: to, Failed: missing},
		{Part: capture.PartNft, Before: state(1), After: state(2, "4 a"), Since: from, At: to, Lacked: missing},
	} {
		got := changes(c)
		if len(got) != 1 || got[0].Kind != history.KindGap || got[0].Gap.From != from || got[0].Gap.To != to || !strings.HasSuffix(got[0].Gap.Why, "nftables ruleset: it changed while it was read") {
			t.Errorf("%+v", got)
		}
	}
}
