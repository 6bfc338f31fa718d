package record

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// What was recorded says what made a flow out of date.
func TestRecordedCause(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	r := begin(t, h, dir, time.Hour)
	r.do(someRules, "nft", "-f", "-")
	r.kind(history.KindRules)
	r.do("", "nft", "replace rule ip nat pre handle 3 tcp dport 8080 dnat to 10.244.1.6:80")
	replaced := r.kind(history.KindRules)
	r.do("", "nft", "delete element ip nat dns { 53 : 10.244.1.7 }")
	r.kind(history.KindRules)
	ipt := []string{"PREROUTING", "-d", "10.96.0.10/32", "-p", "udp", "--dport", "53", "-j", "DNAT", "--to-destination", "10.244.1.9:53"}
	r.do("", "iptables-nft", append([]string{"-t", "nat", "-A"}, ipt...)...)
	r.kind(history.KindRules)
	r.do("", "iptables-nft", append([]string{"-t", "nat", "-D"}, ipt...)...)
	r.kind(history.KindRules)
	id, err := r.live.Identity()
	if err != nil {
		t.Fatal(err)
	}
	all, err := history.Read(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(proto uint8, dst, to string) (string, bool) {
		from, into := netip.MustParseAddrPort(dst), netip.MustParseAddrPort(to)
		e, ok := all.Cause(history.CauseQuery{
			Rewrite: &host.Rewrite{Manip: rules.ManipDst, From: host.Endpoint{Addr: from.Addr(), Port: from.Port()}, To: host.Endpoint{Addr: into.Addr(), Port: into.Port()}},
			Family:  rules.FamilyIPv4, Proto: proto, Original: rules.Tuple{Src: netip.MustParseAddr("10.0.0.10"), SrcPort: 5000, Dst: from.Addr(), DstPort: from.Port(), Proto: proto},
		})
		if !ok {
			return "", false
		}
		text, _, _ := strings.Cut(e.Sentence(time.Now()), " at ")
		return text, e.Sure
	}
	for _, tc := range []struct {
		proto   uint8
		dst, to string
		want    string
	}{
		{6, "192.0.2.1:8080", "10.244.1.5:80", "rule handle 3 of ip nat pre (dnat to 10.244.1.5:80, \"web\") was replaced by one with dnat to 10.244.1.6:80"},
		{17, "192.0.2.1:53", "10.244.1.7:53", "element 53 : 10.244.1.7 was removed from map ip nat dns"},
		{17, "10.96.0.10:53", "10.244.1.9:53", "rule handle 6 of ip nat PREROUTING (dnat to 10.244.1.9:53) was removed"},
		{6, "192.0.2.1:8081", "10.244.1.5:80", ""}, // another port
		{17, "10.96.0.11:53", "10.244.1.9:53", ""}, // another destination
		{6, "10.96.0.10:53", "10.244.1.9:53", ""},  // another protocol
		{6, "192.0.2.1:8080", "10.244.1.6:80", ""}, // what is there now
		{17, "192.0.2.1:54", "10.244.1.7:54", ""},  // another key of the map
	} {
		got, sure := ask(tc.proto, tc.dst, tc.to)
		if got != tc.want || sure != (tc.want != "") {
			t.Errorf("%s to %s:\n got %q, sure %v\nwant %q", tc.dst, tc.to, got, sure, tc.want)
		}
	}
	rs := &rules.Rule{Text: "tcp dport 8080 dnat to 10.244.1.6:80", Chain: &rules.Chain{Name: "pre", Table: &rules.Table{Backend: rules.BackendNft, Family: rules.FamilyIPv4, Name: "nat"}}}
	if e, ok := all.Cause(history.CauseQuery{Rule: rs}); !ok || e.Change.Seq != replaced.Seq {
		t.Errorf("the rule that came: %v %+v", ok, e.Change)
	}
}
