package seeded

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
)

// Namespace is a live namespace; what a test cannot make in one, or shares with
// the machine, is made up.
type Namespace struct {
	capture.Whole
	Path string // that it was opened by
}

// New makes the namespace, until the test ends.
func New(t testing.TB) *Namespace {
	t.Helper()
	for _, tool := range []string{"nft", "iptables-nft-restore", "ipset", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			lab.LeaveOut(t, err)
		}
	}
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host(Name)
	if err != nil {
		t.Fatal(err)
	}
	run := func(input, name string, args ...string) {
		t.Helper()
		if out, err := h.Run(input, name, args...); err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
	}
	run("", "ip", "link", "add", "corpsec0", "type", "veth", "peer", "name", "corpsecw1")
	run("", "ip", "link", "set", "corpsec0", "alias", "corpsec alias", "address", MAC)
	run("", "ip", "addr", "add", "10.77.88.2/24", "dev", "corpsec0")
	run("", "ip", "link", "set", "corpsec0", "up")
	run("", "ip", "link", "set", "corpsecw1", "up")
	run("", "ip", "route", "add", "203.0.177.0/24", "via", "10.77.88.1")
	run("", "ip", "rule", "add", "from", "10.77.88.0/24", "iif", "corpsec0", "lookup", "100")
	run("", "ip", "neigh", "add", "10.77.88.1", "lladdr", MAC, "dev", "corpsec0")
	run(ipsets, "ipset", "restore")
	run(nftRules, "nft", "-f", "-")
	run(iptablesRules, "iptables-nft-restore")
	if out, err := h.Run(iptablesRules, "iptables-legacy-restore"); err != nil {
		t.Logf("iptables-legacy: %v %s", err, out)
	}
	path := filepath.Join(t.TempDir(), "corpsec-dir", "corpsec-netns")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o700), os.Symlink(h.Path(), path)); err != nil {
		t.Fatal(err)
	}
	live, err := capture.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	return &Namespace{live, path}
}

// Snapshot is that of the kernel, on a machine with another name.
func (n *Namespace) Snapshot(ctx context.Context) (*host.Snapshot, error) {
	s, err := n.Whole.Snapshot(ctx)
	if err == nil {
		s.Hostname = "corpsec-host"
	}
	return s, err
}

var tuple = rules.Tuple{Proto: 6, Src: netip.MustParseAddr("10.77.88.9"), Dst: netip.MustParseAddr("203.0.177.7"), SrcPort: 1000, DstPort: 80}

func (*Namespace) Flows(_ context.Context, _ capture.Filter, fn func(*host.Flow) error) (capture.FlowsInfo, error) {
	f := host.Flow{Family: rules.FamilyIPv4, Original: tuple, Master: tuple, Has: host.HasMaster | host.HasHelper | host.HasSecctx,
		Reply: rules.Tuple{Proto: 6, Src: tuple.Dst, Dst: tuple.Src, SrcPort: 80, DstPort: 1000}, Helper: "corpsec-help", Secctx: "corpsec_u:object_r:x:s0"}
	return capture.FlowsInfo{Count: 1, Why: "from 10.77.88.9"}, fn(&f)
}

func (*Namespace) Expectations(context.Context) ([]capture.Expectation, error) {
	mask := rules.Tuple{Src: netip.MustParseAddr("255.255.255.255")}
	return []capture.Expectation{{Family: rules.FamilyIPv4, Tuple: tuple, Mask: mask, Master: tuple, Helper: "corpsec-help"}}, nil
}

func (*Namespace) XfrmPolicies(context.Context) ([]host.XfrmPolicy, error) {
	return []host.XfrmPolicy{{Family: rules.FamilyIPv6, Src: netip.MustParsePrefix("2001:4d58:77aa::/64"), Dst: netip.MustParsePrefix("::/0"),
		Templates: []host.XfrmTemplate{{Src: netip.MustParseAddr("2001:4d58:77aa::1"), Dst: netip.MustParseAddr("::ffff:10.77.88.9")}}}}, nil
}

func (*Namespace) Log(_ context.Context, fn func(*kernlog.Record) error) (uint64, error) {
	for _, line := range []string{
		"corpsec drop: IN=corpsec0 OUT= MAC=02:77:88:99:aa:bb:02:77:88:99:aa:bc:08:00 SRC=10.77.88.9 DST=203.0.177.7 LEN=60 TOS=0x00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=1 DPT=2 WINDOW=0 RES=0x00 SYN URGP=0 ",
		"nf_ct_proto_1: invalid IN=corpsec0 OUT= SRC=203.0.177.1 DST=10.77.88.9 LEN=56 TOS=0x00 PREC=0x00 TTL=64 ID=7 PROTO=ICMP TYPE=3 CODE=1 [SRC=10.77.88.9 DST=203.0.177.7 LEN=28 TOS=0x00 PREC=0x00 TTL=1 ID=2 PROTO=UDP SPT=9 DPT=53 LEN=8 ] ",
		"nf_ct_proto_6: invalid new IN=corpsec0 OUT= SRC=2001:4d58:77aa:0000:0000:0000:0000:0009 DST=0000:0000:0000:0000:0000:ffff:0a4d:5809 LEN=60 TC=0 HOPLIMIT=64 FLOWLBL=0 PROTO=TCP SPT=1 DPT=2 ",
	} {
		if err := fn(&kernlog.Record{Text: []byte(line)}); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (*Namespace) History() (*history.History, error) {
	addr, last := netip.MustParseAddr("10.77.88.20"), netip.MustParseAddr("10.77.88.30")
	place := history.Place{Backend: rules.BackendNft, Family: "ip", Table: "corpsec-old", Chain: "corpsec-gone"}
	version := history.RuleVersion{Handle: 7, Text: `iifname "corpsec9" ip saddr @corpsec-gone-set jump corpsec-gone2 comment "corpsec"`, Comment: "corpsec was here",
		NAT: &history.Target{Kind: "dnat", To: []history.Range{{Addr: addr, AddrMax: last}}, Map: "corpsec-map"}}
	return &history.History{Path: "/var/lib/corpsec/h.db", Changes: []*history.Change{{
		At: time.Unix(1, 0), By: []history.Author{{Program: "corpsecd", Parent: "corpsec-parent", Command: "corpsecd --to 10.77.88.9"}}, Note: "seen at 10.77.88.9",
		Rules: &history.RulesDiff{
			Rules: []history.RuleChange{
				{Op: history.Removed, Place: place, RuleVersion: version},
				{Op: history.Removed, Place: history.Place{Backend: rules.BackendIptablesNft, Family: "ip", Table: "nat", Chain: "corpsec-ipt"},
					RuleVersion: history.RuleVersion{Text: `-A corpsec-ipt -i corpsec7 -s 10.77.88.9/32 -m comment --comment "corpsec" -j corpsec-other`}},
			},
			Sets:    []history.SetChange{{Place: place, What: "set", Elements: []history.ElementChange{{Op: history.Added, Text: `10.77.88.9 comment "corpsec"`, Key: &history.Range{Addr: addr}}}}},
			Objects: []history.ObjectChange{{Op: history.Added, Place: place, What: "chain", Name: "corpsec-new", Text: "chain corpsec-new"}},
		},
		Routes:   []history.RouteChange{{Op: history.Added, Family: "ip", Dst: netip.MustParsePrefix("10.77.88.0/24"), Text: "10.77.88.0/24 via 203.0.177.1 dev corpsec3", Devs: []string{"corpsec3"}}},
		Policies: []history.PolicyChange{{Op: history.Added, Family: "ip", Text: "100: from 10.77.88.0/24 iif corpsec5 lookup 100"}},
		Links:    []history.LinkChange{{Op: history.Added, Name: "corpsec4", Text: "corpsec4 veth up"}},
		Addrs:    []history.AddrChange{{Op: history.Added, Dev: "corpsec4", Prefix: netip.MustParsePrefix("10.77.88.4/24")}},
	}}}, nil
}
