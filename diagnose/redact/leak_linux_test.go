package redact_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/redact"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/xt"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(m.Run)) }

// Every name in the rules below holds secretName; the addresses begin as
// secretNets do, and no other does.
const secretName = "corpsec"

var secretNets = []string{"10.77.88.0/24", "203.0.177.0/24", "2001:4d58:77aa::/48"}

const secretMAC = "02:77:88:99:aa:bb"

const leakNft = `
define mac = 02:77:88:99:aa:bb
table inet corpsec-table {
	comment "corpsec table"
	counter corpsec-counter { comment "corpsec object" }
	quota corpsec-quota { over 1 mbytes }
	ct helper corpsec-helper { type "ftp" protocol tcp; }
	ct timeout corpsec-timeout { protocol tcp; policy = { established : 120 }; }
	set corpsec-set { type ipv4_addr; comment "corpsec set"; elements = { 10.77.88.9 comment "corpsec element", 10.77.88.10 } }
	set corpsec-ranges { type ipv4_addr; flags interval; elements = { 10.77.88.16/28, 10.77.88.40-10.77.88.77 } }
	set corpsec-six { typeof ip6 saddr; flags interval; elements = { 2001:4d58:77aa::/56, 2001:4d58:77aa:101::5-2001:4d58:77aa:101::77 } }
	set corpsec-pairs { typeof ip saddr . iifname; elements = { 10.77.88.9 . "corpsec0" } }
	set corpsec-dyn { type ipv4_addr; flags dynamic,timeout; timeout 1h; size 100; }
	set corpsec-devs { type ifname; flags interval; elements = { "corpsecw*" } }
	set corpsec-macs { type ether_addr; elements = { $mac } }
	map corpsec-verdicts { type ipv4_addr : verdict; elements = { 10.77.88.9 : jump corpsec-chain } }
	map corpsec-targets { type inet_service : ipv4_addr . inet_service; elements = { 8080 : 203.0.177.5 . 80 } }
	map corpsec-counts { type ipv4_addr : counter; elements = { 10.77.88.9 : "corpsec-counter" } }
	chain corpsec-chain {
		comment "corpsec chain"
		ip saddr 10.77.88.9 counter name "corpsec-counter" log prefix "corpsec: " comment "corpsec rule"
		iifname "corpsec0" oifname "corpsecw*" ip daddr { 10.77.88.11, 10.77.88.12 } accept
		ip6 saddr 2001:4d58:77aa::9 ip6 daddr 2001:4d58:77aa::/64 accept
		@nh,96,32 0x0a4d5809 accept
		udp dport 53 @ih,0,56 0x636f7270736563 drop
		update @corpsec-dyn { ip saddr }
		ct original ip daddr 203.0.177.7 accept
		ip daddr set 203.0.177.9
		ether saddr $mac accept
		tcp dport 21 ct helper set "corpsec-helper"
		counter name ip saddr map @corpsec-counts
		rt ip nexthop 10.77.88.1 accept
		ip saddr . iifname @corpsec-pairs accept
	}
	chain corpsec-hook {
		type filter hook prerouting priority -150;
		ip saddr vmap @corpsec-verdicts
		ip saddr @corpsec-set accept
		ip daddr @corpsec-ranges accept
		ip6 daddr @corpsec-six accept
		iifname @corpsec-devs accept
		ether saddr @corpsec-macs accept
	}
}
table ip corpsec-nat {
	chain corpsec-pre {
		type nat hook prerouting priority -100;
		tcp dport 80 dnat to 10.77.88.20
		tcp dport 81 dnat to 10.77.88.20-10.77.88.30:8080
		dnat ip addr . port to tcp dport map { 8080 : 203.0.177.5 . 80 }
		ip daddr 203.0.177.0/24 dnat ip prefix to 10.77.88.0/24
	}
	chain corpsec-post {
		type nat hook postrouting priority 100;
		ip saddr 10.77.88.0/24 snat to 203.0.177.8
		snat to jhash ip saddr mod 2 seed 0x1 map { 0 : 203.0.177.6, 1 : 203.0.177.7 }
	}
}
`

const leakIpset = `create corpsec-ips hash:ip comment
add corpsec-ips 10.77.88.9 comment "corpsec member"
create corpsec-nets hash:net,iface
add corpsec-nets 10.77.88.0/24,corpsec0
create corpsec-macs bitmap:ip,mac range 10.77.88.0/24
add corpsec-macs 10.77.88.9,02:77:88:99:AA:BB
create corpsec-bitmap bitmap:ip range 10.77.88.10-10.77.88.50
add corpsec-bitmap 10.77.88.20
create corpsec-list list:set
add corpsec-list corpsec-ips
`

const leakIptables = `*nat
:CORPSEC - [0:0]
:corpsec-x - [0:0]
-A PREROUTING -d 203.0.177.7/32 -i corpsec0 -p tcp -m comment --comment "corpsec rule" -m tcp --dport 80 -j DNAT --to-destination 10.77.88.9:8080
-A PREROUTING -d 203.0.177.0/24 -j NETMAP --to 10.77.88.0/24
-A PREROUTING -m iprange --src-range 10.77.88.3-10.77.88.60 -j corpsec-x
-A PREROUTING -m mac --mac-source 02:77:88:99:aa:bb -j corpsec-x
-A PREROUTING -m set --match-set corpsec-ips src -j corpsec-x
-A POSTROUTING -s 10.77.88.0/24 -o corpsecw+ -j SNAT --to-source 203.0.177.8-203.0.177.30
COMMIT
*mangle
:corpsec-m - [0:0]
-A PREROUTING -m string --string "corpsec.example" --algo bm -j corpsec-m
-A PREROUTING -m recent --name corpsec-recent --set -j corpsec-m
-A PREROUTING -m conntrack --ctorigdst 203.0.177.7 -j corpsec-m
-A PREROUTING -m u32 --u32 "0xc=0xa4d5809" -j corpsec-m
-A PREROUTING -m hashlimit --hashlimit-above 5/sec --hashlimit-mode srcip --hashlimit-name corpsechash -j corpsec-m
-A PREROUTING -j LOG --log-prefix "corpsec drop: "
-A PREROUTING -j NFLOG --nflog-prefix "corpsec nflog"
-A PREROUTING -j TEE --gateway 10.77.88.1
-A PREROUTING -m physdev --physdev-in corpsec1 -j corpsec-m
-A FORWARD -m policy --dir in --pol ipsec --mode tunnel --tunnel-src 203.0.177.7 --tunnel-dst 10.77.88.9 -j corpsec-m
COMMIT
`

// TestNothingLeaks seeds addresses and names wherever they can stand, and finds
// none of them in what is redacted, in no form.
func TestNothingLeaks(t *testing.T) {
	ctx := context.Background()
	src := seeded(t)
	key := redact.Key{7, 7, 7}
	hidden, err := redact.Wrap(ctx, src, key, redact.Options{})
	if err != nil {
		t.Fatal(err)
	}
	before, after := everything(t, src), everything(t, hidden)
	secrets := secretForms()
	for what, form := range secrets {
		if strings.HasPrefix(what, "must be seeded") && !strings.Contains(before, form) {
			t.Errorf("%s: %q is not in the original", what, form)
		}
		for at := strings.Index(after, form); at >= 0; at = -1 {
			t.Errorf("%s: %q is in what is redacted: %q", what, form, after[max(0, at-60):min(len(after), at+60)])
		}
	}
	if len(hidden.Differs()) == 0 {
		t.Error("nothing is said of jhash and of u32")
	}
}

// secretForms are what must not be found, by what it is.
func secretForms() map[string]string {
	out := map[string]string{
		"must be seeded: a name": secretName, "a name in capitals": strings.ToUpper(secretName), "a name in hex": hex.EncodeToString([]byte(secretName)),
		"must be seeded: a MAC": secretMAC, "a MAC in capitals": strings.ToUpper(secretMAC), "the bytes of a MAC": "\x02\x77\x88\x99\xaa\xbb", "a vendor": "02:77:88",
		"must be seeded: a number": "0xa4d5809", "an address as a decimal number": "172841993",
	}
	for _, n := range secretNets {
		p := netip.MustParsePrefix(n)
		b := p.Addr().AsSlice()[:p.Bits()/8]
		text := strings.TrimSuffix(strings.TrimSuffix(p.Addr().String(), "0"), ":")
		out["must be seeded: text of "+n] = text
		out["must be seeded: bytes of "+n] = string(b)
		out["hex of "+n] = hex.EncodeToString(b)
	}
	return out
}

// seeded is a namespace with secrets everywhere.
func seeded(t *testing.T) *whole {
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
	h, err := l.Host("corpsec")
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
	run("", "ip", "link", "set", "corpsec0", "alias", "corpsec alias", "address", secretMAC)
	run("", "ip", "addr", "add", "10.77.88.2/24", "dev", "corpsec0")
	run("", "ip", "link", "set", "corpsec0", "up")
	run("", "ip", "link", "set", "corpsecw1", "up")
	run("", "ip", "route", "add", "203.0.177.0/24", "via", "10.77.88.1")
	run("", "ip", "rule", "add", "from", "10.77.88.0/24", "iif", "corpsec0", "lookup", "100")
	run("", "ip", "neigh", "add", "10.77.88.1", "lladdr", secretMAC, "dev", "corpsec0")
	run(leakIpset, "ipset", "restore")
	run(leakNft, "nft", "-f", "-")
	run(leakIptables, "iptables-nft-restore")
	if out, err := h.Run(leakIptables, "iptables-legacy-restore"); err != nil {
		t.Logf("iptables-legacy: %v %s", err, out)
	}
	live, err := capture.Open(h.Path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	return &whole{Whole: live}
}

// whole is a live namespace with what a test cannot make in it.
type whole struct{ capture.Whole }

var leakTuple = rules.Tuple{Proto: 6, Src: netip.MustParseAddr("10.77.88.9"), Dst: netip.MustParseAddr("203.0.177.7"), SrcPort: 1000, DstPort: 80}

func (w *whole) Flows(_ context.Context, _ capture.Filter, fn func(*host.Flow) error) (capture.FlowsInfo, error) {
	f := host.Flow{Family: rules.FamilyIPv4, Original: leakTuple, Master: leakTuple, Has: host.HasMaster | host.HasHelper | host.HasSecctx,
		Reply: rules.Tuple{Proto: 6, Src: leakTuple.Dst, Dst: leakTuple.Src, SrcPort: 80, DstPort: 1000}, Helper: "corpsec-help", Secctx: "corpsec_u:object_r:x:s0"}
	return capture.FlowsInfo{Count: 1, Why: "from 10.77.88.9"}, fn(&f)
}

func (w *whole) Expectations(context.Context) ([]capture.Expectation, error) {
	mask := rules.Tuple{Src: netip.MustParseAddr("255.255.255.255")}
	return []capture.Expectation{{Family: rules.FamilyIPv4, Tuple: leakTuple, Mask: mask, Master: leakTuple, Helper: "corpsec-help"}}, nil
}

func (w *whole) XfrmPolicies(context.Context) ([]host.XfrmPolicy, error) {
	return []host.XfrmPolicy{{Family: rules.FamilyIPv6, Src: netip.MustParsePrefix("2001:4d58:77aa::/64"), Dst: netip.MustParsePrefix("::/0"),
		Templates: []host.XfrmTemplate{{Src: netip.MustParseAddr("2001:4d58:77aa::1"), Dst: netip.MustParseAddr("::ffff:10.77.88.9")}}}}, nil
}

func (w *whole) Log(_ context.Context, fn func(*kernlog.Record) error) (uint64, error) {
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

func (w *whole) History() (*history.History, error) {
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

// everything is all that a source gives, as its fields and as its texts.
func everything(t *testing.T, src capture.Whole) string {
	t.Helper()
	ctx := context.Background()
	d := &dump{seen: map[uintptr]bool{}}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := src.Snapshot(ctx)
	must(err)
	d.add(s)
	h, err := src.History()
	must(err)
	d.add(h)
	x, err := src.Expectations(ctx)
	must(err)
	d.add(x)
	n, err := src.Neighbours(ctx)
	must(err)
	d.add(n)
	p, err := src.XfrmPolicies(ctx)
	must(err)
	d.add(p)
	info, err := src.Flows(ctx, capture.Filter{}, func(f *host.Flow) error { d.add(*f); return nil })
	must(err)
	d.add(info)
	_, err = src.Log(ctx, func(r *kernlog.Record) error { d.add(string(r.Text)); return nil })
	must(err)
	d.add(src.Loggers())
	d.add(src.Enter())
	var st *counters.Stats
	st, err = src.Stats(ctx)
	must(err)
	d.add(st)
	d.add(nft.RulesetText(s.Rules))
	for _, table := range s.Rules.Tables {
		for _, c := range table.Chains {
			for _, r := range c.Rules {
				d.add(nft.RuleText(r))
				d.add(nft.RuleTextFull(r))
				if text, ok := xt.RuleText(r); ok {
					d.add(text)
				}
			}
		}
	}
	for _, set := range s.Rules.IPSets {
		d.add(set.Save())
	}
	return d.b.String()
}

// dump writes every string, address and run of bytes that a value reaches.
type dump struct {
	b    strings.Builder
	seen map[uintptr]bool
}

func (d *dump) add(v any) { d.value(reflect.ValueOf(v)) }

func (d *dump) value(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		fmt.Fprintln(&d.b, v.String())
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() || v.Kind() == reflect.Pointer && d.seen[v.Pointer()] {
			return
		}
		if v.Kind() == reflect.Pointer {
			d.seen[v.Pointer()] = true
		}
		d.value(v.Elem())
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			for i := range v.Len() {
				d.b.WriteByte(byte(v.Index(i).Uint()))
			}
			d.b.WriteByte('\n')
			return
		}
		for i := range v.Len() {
			d.value(v.Index(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			d.value(it.Key())
			d.value(it.Value())
		}
	case reflect.Struct:
		if s, ok := stringer(v); ok {
			fmt.Fprintln(&d.b, s)
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				d.value(v.Field(i))
			}
		}
	}
}

func stringer(v reflect.Value) (string, bool) {
	switch x := v.Interface().(type) {
	case netip.Addr:
		return x.String() + " " + string(x.AsSlice()), true
	case netip.Prefix:
		return x.String() + " " + string(x.Addr().AsSlice()), true
	case time.Time:
		return "", true
	}
	return "", false
}
