package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// ipsetMsg builds one message of a listing; num writes a number in network
// byte order, as the kernel does but for IPSET_ATTR_MARKMASK.
type ipsetMsg struct{ builder }

func (w *ipsetMsg) num(typ uint16, b []byte) { w.attr(typ|attrNet, b) }

func (w *ipsetMsg) ip(typ uint16, a string) {
	addr := netip.MustParseAddr(a)
	w.nest(typ, func(in *builder) {
		if addr.Is4() {
			in.attr(1|attrNet, addr.AsSlice())
		} else {
			in.attr(2|attrNet, addr.AsSlice())
		}
	})
}

func ipsetListing(name, typ string, family uint8, header func(*ipsetMsg), elements ...func(*ipsetMsg)) []byte {
	var w ipsetMsg
	w.u8(ipsetProtocol, 7)
	w.str(ipsetSetname, name)
	if typ != "" {
		w.str(ipsetTypename, typ)
		w.u8(ipsetFamily, family)
		w.u8(ipsetRevision, 3)
		w.num(ipsetIndex, be.AppendUint16(nil, 5))
		var h ipsetMsg
		if header != nil {
			header(&h)
		}
		w.attr(ipsetData|attrNested, h.b)
	}
	var all ipsetMsg
	for _, e := range elements {
		var one ipsetMsg
		e(&one)
		all.attr(ipsetData|attrNested, one.b)
	}
	w.attr(ipsetADT|attrNested, all.b)
	return w.b
}

func ipsetMarkElement(ip string, mark uint32) func(*ipsetMsg) {
	return func(w *ipsetMsg) {
		w.ip(ipsetIP, ip)
		w.num(ipsetMark, be.AppendUint32(nil, mark))
	}
}

// Types that few kernels have, as their mtype_list lists them.
func TestIPSetParser(t *testing.T) {
	mac := []byte{2, 0, 0, 0, 0, 1}
	tests := []struct {
		messages [][]byte
		want     string
	}{
		{[][]byte{
			ipsetListing("m", "hash:ip,mark", 2, func(w *ipsetMsg) {
				w.num(ipsetHashsize, be.AppendUint32(nil, 64))
				w.num(ipsetMaxelem, be.AppendUint32(nil, 100))
				w.attr(ipsetMarkmask, ne.AppendUint32(nil, 0xf0)) // in host order
			}, ipsetMarkElement("10.0.0.1", 0x10)),
			ipsetListing("m", "", 0, nil, ipsetMarkElement("10.0.0.2", 0x20), ipsetMarkElement("10.0.0.3", 0x30)),
		}, "create m hash:ip,mark family inet markmask 0x000000f0 hashsize 64 maxelem 100\n" +
			"add m 10.0.0.1,0x00000010\nadd m 10.0.0.2,0x00000020\nadd m 10.0.0.3,0x00000030\n"},
		{[][]byte{ipsetListing("h", "hash:mac", 0, nil, func(w *ipsetMsg) { w.attr(ipsetEther, mac) })},
			"create h hash:mac hashsize 0 maxelem 0\nadd h 02:00:00:00:00:01\n"},
		{[][]byte{ipsetListing("i", "hash:ip,mac", 10, nil, func(w *ipsetMsg) {
			w.ip(ipsetIP, "fd00::1")
			w.attr(ipsetEther, mac)
		})}, "create i hash:ip,mac family inet6 hashsize 0 maxelem 0\nadd i fd00::1,02:00:00:00:00:01\n"},
		{[][]byte{ipsetListing("n", "hash:net,port,net", 2, nil, func(w *ipsetMsg) {
			w.ip(ipsetIP, "10.0.0.0")
			w.ip(ipsetIP2, "10.1.0.0")
			w.num(ipsetPort, be.AppendUint16(nil, 80))
			w.u8(ipsetCIDR, 8)
			w.u8(ipsetCIDR2, 16)
			w.u8(ipsetProto, 6)
			w.num(ipsetCADTFlags, be.AppendUint32(nil, ipsetFlagNomatch))
		})}, "create n hash:net,port,net family inet hashsize 0 maxelem 0\nadd n 10.0.0.0/8,tcp:80,10.1.0.0/16 nomatch\n"},
	}
	for _, tt := range tests {
		var p IPSetParser
		for _, m := range tt.messages {
			if err := p.Add(m); err != nil {
				t.Error(err)
			}
		}
		if got := saved(p.Sets); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
		if len(p.Sets) != 1 || p.Sets[0].ID != 5 || p.Sets[0].Missing != "" {
			t.Errorf("sets: %+v", p.Sets)
		}
	}
}

func TestIPSetParserRefuses(t *testing.T) {
	good := ipsetListing("m", "hash:ip,mark", 2, nil, ipsetMarkElement("10.0.0.1", 1))
	tests := []struct {
		name    string
		payload []byte
		sets    int
	}{
		{"empty", nil, 0},
		{"cut", good[:len(good)-4], 0},
		{"no header", ipsetListing("m", "", 0, nil, ipsetMarkElement("10.0.0.1", 1)), 0},
		{"element without a mark", ipsetListing("m", "hash:ip,mark", 2, nil, func(w *ipsetMsg) { w.ip(ipsetIP, "10.0.0.1") }), 1},
		{"address of the other family", ipsetListing("m", "hash:ip,mark", 2, nil, ipsetMarkElement("fd00::1", 1)), 1},
		{"mark of two bytes", ipsetListing("m", "hash:ip,mark", 2, nil, func(w *ipsetMsg) { w.num(ipsetMark, []byte{1, 2}) }), 1},
		{"netmask of 99", ipsetListing("m", "hash:ip", 2, func(w *ipsetMsg) { w.u8(ipsetNetmask, 99) }), 1},
		{"prefix of 99", ipsetListing("m", "hash:net", 2, nil, func(w *ipsetMsg) { w.ip(ipsetIP, "10.0.0.1"); w.u8(ipsetCIDR, 99) }), 1},
	}
	for _, tt := range tests {
		var p IPSetParser
		err := p.Add(tt.payload)
		if err == nil || len(p.Sets) != tt.sets {
			t.Errorf("%s: %v, %d sets", tt.name, err, len(p.Sets))
		}
		for _, s := range p.Sets {
			if s.Missing == "" || strings.Contains(s.Missing, "\n") || !errors.Is(err, errAttrLength) {
				t.Errorf("%s: missing %q, %v", tt.name, s.Missing, err)
			}
		}
	}
	var p IPSetParser
	if err := p.Add(ipsetListing("x", "hash:new", 2, nil, func(w *ipsetMsg) { w.ip(ipsetIP, "10.0.0.1") })); err != nil {
		t.Error(err)
	}
	if s := p.Sets[0]; s.Missing != "set type hash:new is not known" || s.ID != 5 {
		t.Errorf("a type that nobody knows: %+v", s)
	}
}

func FuzzIPSetParser(f *testing.F) {
	f.Add(ipsetListing("m", "hash:ip,mark", 2, nil, ipsetMarkElement("10.0.0.1", 1)), []byte{})
	f.Add(ipsetListing("n", "hash:net,iface", 10, func(w *ipsetMsg) {
		w.num(ipsetElements, be.AppendUint32(nil, 1<<31))
		w.num(ipsetCADTFlags, be.AppendUint32(nil, 0xff))
		w.num(ipsetTimeout, be.AppendUint32(nil, 1))
	}, func(w *ipsetMsg) {
		w.ip(ipsetIP, "fd00::")
		w.u8(ipsetCIDR, 8)
		w.str(ipsetIface, "eth")
		w.str(ipsetComment, "c\x1b")
		w.num(ipsetSkbmark, be.AppendUint64(nil, 1<<40))
	}), ipsetListing("n", "", 0, nil))
	f.Add(ipsetListing("b", "bitmap:ip", 2, func(w *ipsetMsg) {
		w.ip(ipsetIP, "10.0.0.0")
		w.ip(ipsetIPTo, "10.0.0.255")
		w.u8(ipsetNetmask, 24)
	}), ipsetListing("l", "list:set", 0, nil, func(w *ipsetMsg) { w.str(ipsetName, "b") }))
	f.Add(ipsetListing("p", "hash:net,port,net", 2, nil, func(w *ipsetMsg) { w.ip(ipsetIP, "10.0.0.0") }), []byte{4, 0, 8, 0x80})
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var p IPSetParser
		e1, e2 := p.Add(first), p.Add(second)
		if len(p.Sets) > 2 {
			t.Fatalf("%d sets of two messages", len(p.Sets))
		}
		rs := &rules.Ruleset{IPSets: p.Sets}
		rs.PrepareIPSets()
		for _, s := range p.Sets {
			if !s.Known() && s.Missing == "" {
				t.Errorf("a type that nobody knows, and nothing missing: %q", s.Type)
			}
			if lines := s.Save(); e1 == nil && e2 == nil && strings.Count(lines, "create ") == 0 {
				t.Errorf("save: %q", lines)
			}
			for _, family := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
				c := ipsetProbeCase{ip: netip.MustParseAddr("10.0.0.1"), ip2: netip.MustParseAddr("10.0.0.2"), proto: 6, port: 80, mac: ipsetProbeMAC, iface: "eth0"}
				if family == rules.FamilyIPv6 {
					c.ip, c.ip2 = netip.MustParseAddr("fd00::1"), netip.MustParseAddr("::")
				}
				m := &rules.InIPSet{IPSetRef: rules.IPSetRef{Set: s, Dims: make([]rules.IPSetDir, 3)}}
				known := m.Test(c.packet())
				open := c.packet()
				open.Net.Open(12, 8, rules.FromRoute)
				open.Trans.Open(0, 4, rules.FromRandom)
				open.Iif.State = rules.IfaceUnknown
				// knowing less never turns one decided answer into the other
				if less := m.Test(open); less.Truth != rules.Unknown && known.Truth != rules.Unknown && less.Truth != known.Truth {
					t.Errorf("%s: %v, knowing less %v", s.Save(), known, less)
				}
			}
		}
	})
}

const ipsetProbeMAC = "02:00:00:00:00:01"

// ipsetManyMessages is a hash:ip,port of n elements in messages of 32 KiB, as
// the kernel sends them.
func ipsetManyMessages(n int) (messages [][]byte) {
	var elements []func(*ipsetMsg)
	flush := func() {
		typ := ""
		if messages == nil {
			typ = "hash:ip,port"
		}
		messages = append(messages, ipsetListing("big", typ, 2, func(w *ipsetMsg) { w.num(ipsetElements, be.AppendUint32(nil, uint32(n))) }, elements...))
		elements = nil
	}
	for i := range n {
		elements = append(elements, func(w *ipsetMsg) {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], 0x0a000000+uint32(i))
			w.ip(ipsetIP, netip.AddrFrom4(ip).String())
			w.num(ipsetPort, be.AppendUint16(nil, uint16(i)))
			w.u8(ipsetProto, 17)
		})
		if len(elements) == 800 {
			flush()
		}
	}
	flush()
	return messages
}

func BenchmarkIPSetParse100k(b *testing.B) {
	messages := ipsetManyMessages(100_000)
	for b.Loop() {
		var p IPSetParser
		for _, m := range messages {
			if err := p.Add(m); err != nil {
				b.Fatal(err)
			}
		}
		if len(p.Sets[0].Elements) != 100_000 {
			b.Fatal(len(p.Sets[0].Elements))
		}
	}
}

func BenchmarkIPSetPrepare100k(b *testing.B) {
	var p IPSetParser
	for _, m := range ipsetManyMessages(100_000) {
		if err := p.Add(m); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		again := &rules.IPSet{Type: p.Sets[0].Type, Family: rules.FamilyIPv4, Elements: p.Sets[0].Elements}
		again.Prepare()
	}
}

func BenchmarkIPSetLookup100k(b *testing.B) {
	sets := map[string]*rules.IPSet{}
	var p IPSetParser
	for _, m := range ipsetManyMessages(100_000) {
		if err := p.Add(m); err != nil {
			b.Fatal(err)
		}
	}
	sets["hash:ip,port"] = p.Sets[0]
	nets := &rules.IPSet{Type: "hash:net", Family: rules.FamilyIPv4}
	for i := range 100_000 {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		prefix, _ := a.Prefix(8 + i%25)
		nets.Elements = append(nets.Elements, rules.IPSetElement{IP: prefix})
	}
	sets["hash:net, 25 prefix lengths"] = nets
	c := ipsetProbeCase{ip: netip.MustParseAddr("10.0.1.7"), ip2: netip.MustParseAddr("10.9.9.9"), proto: 17, port: 0x107, mac: ipsetProbeMAC, iface: "eth0"}
	for name, s := range sets {
		for _, hit := range []bool{true, false} {
			q := c
			if !hit {
				q.ip = netip.MustParseAddr("11.0.0.1")
			}
			b.Run(fmt.Sprintf("%s/%t", name, hit), func(b *testing.B) {
				m, packet := matches(s, false), q.packet()
				want := rules.TruthOf(hit)
				if a := m.Test(packet); a.Truth != want {
					b.Fatalf("%v, want %v", a, want)
				}
				const questions = 10_000
				for b.Loop() {
					for range questions {
						if m.Test(packet).Truth != want {
							b.Fatal("another answer")
						}
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/questions, "ns/question")
			})
		}
	}
}
