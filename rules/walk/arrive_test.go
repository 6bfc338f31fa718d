package walk

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/rules"
)

// wires is a host with a bridge on two ports, a VLAN on a plain device, and a
// device that nothing is known of.
type wires struct {
	rules.NoHost
	callsIP rules.Truth
}

var links = map[string]rules.Link{
	"eth0": {Index: 2, Name: "eth0"}, "eth1": {Index: 3, Name: "eth1"},
	"br0": {Index: 4, Name: "br0", Kind: "bridge"}, "p0": {Index: 5, Name: "p0", Master: 4}, "p1": {Index: 6, Name: "p1", Master: 4},
	"eth0.5": {Index: 7, Name: "eth0.5", Kind: "vlan", Parent: 2}, "odd0": {Index: 8, Name: "odd0"},
}

func (wires) LinkByName(name string) (rules.Link, bool) { l, ok := links[name]; return l, ok }

func (w wires) Beneath(index uint32, _ rules.Family) (rules.Beneath, bool) {
	switch index {
	case 4:
		return rules.Beneath{Bridge: true, CallsIP: w.callsIP, Links: []rules.Link{links["p0"], links["p1"]}}, true
	case 7:
		return rules.Beneath{Links: []rules.Link{links["eth0"]}, CallsIP: rules.No}, true
	case 8:
		return rules.Beneath{}, false
	}
	return rules.Beneath{CallsIP: rules.No}, true
}

func family(f rules.Family, name string) table {
	return table{&rules.Table{Backend: rules.BackendNft, Family: f, Name: name, Handle: uint64(f)}}
}

func atDevice(prio int32, names ...string) *rules.BaseChain {
	b := filterBase(rules.Ingress, prio)
	for _, n := range names {
		b.Devices = append(b.Devices, rules.Device{Name: n})
	}
	return b
}

func atBridge(h rules.Hook, prio int32) *rules.BaseChain { return filterBase(h, prio) }

func nfproto(f rules.Family) *rules.Match {
	return &rules.Match{Left: &rules.Meta{Key: rules.MetaNfproto}, Op: rules.CmpEq, Right: []byte{byte(f)}}
}

func etherType(proto ...byte) *rules.Match {
	return &rules.Match{Left: &rules.Payload{Base: rules.PayloadLink, Off: 12, Len: 2}, Op: rules.CmpEq, Right: proto}
}

func ifname(n string) *rules.Match {
	b := make([]byte, 16)
	copy(b, n)
	return &rules.Match{Left: &rules.Meta{Key: rules.MetaIifname}, Op: rules.CmpEq, Right: b}
}

// TestArrive: the mark with which a packet comes to prerouting, "?" for bits
// that are not known, and what it then rests on.
func TestArrive(t *testing.T) {
	known := func(name string) rules.Iface { return rules.Iface{State: rules.IfaceKnown, Link: links[name]} }
	assumed := func(name string) rules.Iface {
		return rules.Iface{State: rules.IfaceAssumed, Link: links[name]}
	}
	devices := func(dev, inet, bridge table) {
		dev.chain(atDevice(10, "eth0"), do(setMarkBit(1)))
		dev.chain(atDevice(0, "eth1", "p0"), do(setMarkBit(2)))
		inet.chain(atDevice(20, "eth0"), do(mark(1), setMarkBit(4)))
		bridge.chain(atBridge(rules.Prerouting, -300), do(ifname("p0"), setMarkBit(0x10)))
		bridge.chain(atBridge(rules.Prerouting, 100), do(setMarkBit(0x20)))
		bridge.chain(atBridge(rules.Input, 0), do(setMarkBit(0x40)))
		bridge.chain(atBridge(rules.Forward, 0), do(setMarkBit(0x80)))
	}
	for _, tc := range []struct {
		name  string
		build func(dev, inet, bridge table)
		in    rules.Iface
		nf    rules.Truth
		want  string // bits 8 to 1
		alive rules.Truth
		iif   bool // rests on the device
	}{
		{"in the order of priority", devices, known("eth0"), rules.No, "00000101", rules.Yes, false},
		{"one of several devices", devices, assumed("eth1"), rules.No, "00000010", rules.Yes, true},
		{"a VLAN passes the device below", devices, known("eth0.5"), rules.No, "00000101", rules.Yes, false},
		{"nothing at the device", devices, known("odd0"), rules.No, "0???0???", rules.Yes, false},
		{"locally generated", devices, rules.Iface{State: rules.IfaceNone}, rules.No, "00000000", rules.Yes, false},
		{"not known by which", devices, rules.Iface{}, rules.No, "0???0???", rules.Yes, false},
		{"one of two ports", devices, known("br0"), rules.No, "011?00?0", rules.Yes, false},
		{"from inside the bridge", devices, known("br0"), rules.Yes, "000?00?0", rules.Yes, false},
		{"perhaps from inside the bridge", devices, known("br0"), rules.Unknown, "0???00?0", rules.Yes, false},
		{"a port that is an input device itself", devices, known("p0"), rules.No, "00??0010", rules.Yes, false},
		{"dropped there", func(dev, _, _ table) {
			dev.chain(atDevice(0, "eth0"), do(dport(80), verdict(rules.VerdictDrop)))
		}, assumed("eth0"), rules.No, "", rules.No, false},
		{"dropped at one port", func(dev, _, _ table) {
			dev.chain(atDevice(0, "p0"), do(verdict(rules.VerdictDrop)))
			dev.chain(atDevice(0, "p1"), do(setMarkBit(8)))
		}, known("br0"), rules.No, "00001000", rules.Yes, false},
		{"sent on to another device", func(dev, _, _ table) {
			dev.chain(atDevice(0, "eth0"), do(&rules.Fwd{Device: &rules.Const{Data: u32(3)}}))
		}, known("eth0"), rules.No, "", rules.No, false},
		{"family of the hook", func(dev, inet, bridge table) {
			dev.chain(atDevice(0, "p0", "p1"), do(nfproto(rules.FamilyNetdev), setMarkBit(1)), do(nfproto(rules.FamilyIPv4), setMarkBit(2)))
			inet.chain(atDevice(5, "p0", "p1"), do(nfproto(rules.FamilyIPv4), setMarkBit(4)))
			bridge.chain(atBridge(rules.Prerouting, 0), do(nfproto(rules.FamilyBridge), setMarkBit(8)))
		}, known("br0"), rules.No, "00001101", rules.Yes, false},
		{"type of the frame", func(dev, _, _ table) {
			dev.chain(atDevice(0, "eth0"), do(etherType(8, 0), setMarkBit(1)), do(etherType(0x86, 0xdd), setMarkBit(2)))
		}, known("eth0"), rules.No, "00000001", rules.Yes, false},
		{"a prefix of names", func(dev, _, _ table) {
			b := filterBase(rules.Ingress, 0)
			b.Devices = []rules.Device{{Name: "eth", Prefix: true}}
			dev.chain(b, do(setMarkBit(1)))
		}, known("eth1"), rules.No, "00000001", rules.Yes, false},
		{"tables that share a priority", func(dev, inet, _ table) {
			dev.chain(atDevice(0, "eth0"), do(setMarkBit(1)))
			inet.chain(atDevice(0, "eth0"), do(mark(1), setMarkBit(2)))
		}, known("eth0"), rules.No, "000000?1", rules.Yes, false},
		{"asleep", func(dev, _, _ table) {
			dev.Flags = rules.TableDormant
			dev.chain(atDevice(0, "eth0"), do(setMarkBit(1)))
		}, known("eth0"), rules.No, "00000000", rules.Yes, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dev, inet, bridge := family(rules.FamilyNetdev, "dev"), family(rules.FamilyInet, "inet"), family(rules.FamilyBridge, "br")
			tc.build(dev, inet, bridge)
			w := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{dev.Table, inet.Table, bridge.Table}})
			p := packet(rules.KnownUint(le, 4, 0))
			p.Host, p.Iif = wires{callsIP: tc.nf}, tc.in
			before := *p
			res := w.Hook(p, rules.Prerouting, Options{})
			if res.Alive.Truth != tc.alive {
				t.Fatalf("alive %v, want %v", res.Alive.Truth, tc.alive)
			}
			if tc.alive == rules.No {
				return
			}
			if got := lowBits(&res.Packet.Mark); got != tc.want {
				t.Errorf("mark %s, want %s", got, tc.want)
			}
			if got := res.Packet.Mark.AssumedBy.Has(rules.FromIif); got != tc.iif {
				t.Errorf("rests on the device: %v, want %v", got, tc.iif)
			}
			after := res.Packet
			after.Mark, after.Priority, after.Tracked = before.Mark, before.Priority, before.Tracked
			if diff := cmp.Diff(before.Net, after.Net); diff != "" || after.Iif != before.Iif || after.SeenAs != 0 || after.Hook != rules.Prerouting || after.Link.N != 0 {
				t.Errorf("not as it was: %+v; network header %s", after, diff)
			}
		})
	}
}

// TestBridgeConntrack: what a chain of the bridge sets in the entry is set
// where the bridge tracks its packets.
func TestBridgeConntrack(t *testing.T) {
	bridge := family(rules.FamilyBridge, "br")
	set := &rules.Assign{Target: rules.AssignCt, Dest: &rules.Ct{Key: rules.CtMark, Dir: rules.CtDirNone}, Value: &rules.Const{Data: u32(5)}}
	bridge.chain(atBridge(rules.Prerouting, -150), do(set))
	p := packet(rules.KnownUint(le, 4, 0))
	p.Host, p.Iif = wires{callsIP: rules.No}, rules.Iface{State: rules.IfaceKnown, Link: links["br0"]}
	res := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{bridge.Table}}).Hook(p, rules.Prerouting, Options{})
	if got := lowBits(&res.Packet.Ct.Mark); got != "00000?0?" {
		t.Errorf("ct mark %s", got)
	}
}

// lowBits are the lowest eight bits of a mark, "?" for one that is not known.
func lowBits(v *rules.Value) string {
	s := ""
	for bit := 7; bit >= 0; bit-- {
		switch {
		case v.Known[0]>>bit&1 == 0:
			s += "?"
		case v.Bits[0]>>bit&1 == 1:
			s += "1"
		default:
			s += "0"
		}
	}
	return s
}

// TestBridgedOn: with br_netfilter the bridge's later chains come between the
// hooks of IP.
func TestBridgedOn(t *testing.T) {
	for _, tc := range []struct {
		name    string
		hook    rules.Hook
		nf      rules.Truth
		in, out string
		want    string
	}{
		{"forward", rules.Forward, rules.Yes, "br0", "eth0", "???0000?"},
		{"input", rules.Input, rules.Yes, "br0", "", "0??0000?"},
		{"without it", rules.Forward, rules.No, "br0", "eth0", "00000000"},
		{"another device", rules.Forward, rules.Yes, "eth0", "br0", "00000000"},
		{"out by another device", rules.Postrouting, rules.Yes, "br0", "eth0", "00000000"},
		{"out by the bridge itself", rules.Postrouting, rules.Yes, "br0", "br0", "?000000?"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bridge, dev := family(rules.FamilyBridge, "br"), family(rules.FamilyNetdev, "dev")
			bridge.chain(atBridge(rules.Prerouting, -300), do(setMarkBit(0x10)))
			bridge.chain(atBridge(rules.Prerouting, 100), do(setMarkBit(0x20)))
			bridge.chain(atBridge(rules.Input, 0), do(setMarkBit(0x40)))
			bridge.chain(atBridge(rules.Forward, 0), do(setMarkBit(0x80)))
			bridge.chain(atBridge(rules.Postrouting, 0), do(setMarkBit(1)))
			dev.chain(atDevice(0, "br0"), do(setMarkBit(1)))
			w := New(&rules.Ruleset{Order: le, Tables: []*rules.Table{bridge.Table, dev.Table}})
			p := packet(rules.KnownUint(le, 4, 0))
			p.Host = wires{callsIP: tc.nf}
			p.Iif = rules.Iface{State: rules.IfaceAssumed, Link: links[tc.in]}
			p.Oif = rules.Iface{State: rules.IfaceAssumed, Link: links[tc.out]}
			res := w.Hook(p, tc.hook, Options{})
			if got := lowBits(&res.Packet.Mark); got != tc.want {
				t.Errorf("mark %s, want %s", got, tc.want)
			}
		})
	}
}
