package rules

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// ipsetPacket is a UDP packet from 10.0.0.1:1000 to 10.0.1.2:53, received by
// eth0 and forwarded to eth1, with a mark of 0x12.
func ipsetPacket() *Packet {
	p := &Packet{Order: binary.LittleEndian, Family: FamilyIPv4, Hook: Forward, Proto: protoUDP}
	p.Net.N, p.Trans.N, p.Link.N = 20, 8, 14
	p.Net.Set(0, make([]byte, 20), FromEntry)
	p.SetAddr(false, netip.MustParseAddr("10.0.0.1"))
	p.SetAddr(true, netip.MustParseAddr("10.0.1.2"))
	p.Trans.Set(0, []byte{0x03, 0xe8, 0, 53, 0, 8, 0, 0}, FromEntry)
	p.Link.Set(0, []byte{2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0}, FromEntry)
	p.Iif = Iface{State: IfaceKnown, Link: Link{Index: 2, Name: "eth0", Type: arphrdEther}}
	p.Oif = Iface{State: IfaceKnown, Link: Link{Index: 3, Name: "eth1", Type: arphrdEther}}
	p.Mark = KnownUint(p.Order, 4, 0x12)
	return p
}

// ipsetOf makes a set of elements written as `ipset save` writes them.
func ipsetOf(typ string, elements ...string) *IPSet {
	s := &IPSet{Name: "s", Type: typ, Family: FamilyIPv4}
	_, fields, _ := strings.Cut(typ, ":")
	for _, text := range elements {
		var e IPSetElement
		words := strings.Fields(text)
		values := strings.Split(words[0], ",")
		for i, f := range strings.Split(fields, ",") {
			if i < len(values) {
				ipsetValue(&e, f, values[i])
			}
		}
		for i := 1; i < len(words); i++ {
			switch words[i] {
			case "nomatch":
				e.Nomatch = true
			case "wildcard":
				e.Wildcard = true
			case "timeout":
				s.HasTimeout = true
				fmt.Sscan(words[i+1], &e.Timeout)
			}
		}
		s.Elements = append(s.Elements, e)
	}
	return s
}

func ipsetValue(e *IPSetElement, field, v string) {
	switch field {
	case "ip", "net":
		p, err := netip.ParsePrefix(v)
		if err != nil {
			a := netip.MustParseAddr(v)
			p = netip.PrefixFrom(a, a.BitLen())
		}
		if e.IP.IsValid() {
			e.IP2 = p
		} else {
			e.IP = p
		}
	case "port":
		proto, port, both := strings.Cut(v, ":")
		if !both {
			port = proto
		}
		fmt.Sscan(port, &e.Port)
		e.Proto = map[string]uint8{"tcp": 6, "udp": 17}[proto]
	case "mac":
		mac, _ := net.ParseMAC(v)
		e.HasMAC = copy(e.MAC[:], mac) == 6
	case "mark":
		fmt.Sscan(v, &e.Mark)
	case "iface":
		e.Iface, e.Physdev = strings.TrimPrefix(v, "physdev:"), strings.HasPrefix(v, "physdev:")
	case "set":
		e.Name = v
	}
}

func dirs(text string) (out []IPSetDir) {
	for _, w := range strings.Split(text, ",") {
		out = append(out, map[string]IPSetDir{"src": IPSetSrc, "dst": IPSetDst}[w])
	}
	return out
}

// Types that few kernels have are told here what their kadt function says;
// the others are asked of the kernel itself (diagnose/capture).
func TestIPSetTypes(t *testing.T) {
	tests := []struct {
		typ, dirs string
		elements  string // separated by ;
		want      Truth
	}{
		{"hash:mac", "src", "02:00:00:00:00:01", Yes},
		{"hash:mac", "dst", "02:00:00:00:00:01", No},
		{"hash:mac", "dst", "02:00:00:00:00:09", Yes},
		{"hash:mac", "src", "02:00:00:00:00:02;02:00:00:00:00:03", No},
		{"hash:ip,mac", "src,src", "10.0.0.1,02:00:00:00:00:01", Yes},
		{"hash:ip,mac", "src,src", "10.0.0.1,02:00:00:00:00:02;10.0.0.1,02:00:00:00:00:01", Yes},
		{"hash:ip,mac", "src,dst", "10.0.0.1,02:00:00:00:00:01", No},
		{"hash:ip,mac", "dst,src", "10.0.0.1,02:00:00:00:00:01", No},
		{"hash:ip,mark", "src,src", "10.0.0.1,0x12", Yes},
		{"hash:ip,mark", "src,dst", "10.0.0.1,0x13;10.0.0.1,0x12", Yes},
		{"hash:ip,mark", "dst,dst", "10.0.1.2,0x12", Yes},
		{"hash:ip,mark", "src,src", "10.0.0.1,0x10", No},
		{"hash:net,net", "src,dst", "10.0.0.0/24,10.0.1.0/24", Yes},
		{"hash:net,net", "dst,src", "10.0.0.0/24,10.0.1.0/24", No},
		{"hash:net,net", "src,dst", "10.0.0.0/24,10.0.0.0/16 nomatch;10.0.0.0/16,10.0.1.2", No},
		{"hash:net,net", "src,dst", "10.0.0.0/24,10.0.0.0/16;10.0.0.0/16,10.0.1.2 nomatch", Yes},
		{"hash:net,net", "src,dst", "10.0.0.0/24,10.0.0.0/16;10.0.0.0/24,10.0.1.0/24 nomatch", No},
		{"hash:net,port,net", "src,dst,dst", "10.0.0.0/24,udp:53,10.0.1.0/24", Yes},
		{"hash:net,port,net", "src,src,dst", "10.0.0.0/24,udp:53,10.0.1.0/24", No},
		{"hash:net,port,net", "src,src,dst", "10.0.0.0/24,udp:1000,0.0.0.0/0", Yes},
		{"hash:net,port,net", "src,dst,dst", "10.0.0.0/24,tcp:53,10.0.1.0/24", No},
		{"hash:net,port,net", "src,dst", "10.0.0.0/24,udp:53,10.0.1.0/24", No},
		{"hash:net,iface", "src,src", "10.0.0.0/8,eth0", Yes},
		{"hash:net,iface", "src,dst", "10.0.0.0/8,eth0", No},
		{"hash:net,iface", "src,src", "10.0.0.0/8,eth0;10.0.0.0/16,wg0", No},
		{"hash:net,iface", "src,src", "10.0.0.0/8,eth0;10.0.0.0/16,et wildcard", Yes},
		{"hash:net,iface", "src,src", "10.0.0.0/8,eth0;10.0.0.0/16,et nomatch wildcard", No},
		{"hash:net,iface", "src,src", "10.0.0.0/8,physdev:eth0", No},
		{"hash:net,iface", "src,src", "10.0.0.0/8,eth0;10.0.0.0/16,physdev:wg0", Unknown},
		{"list:set", "src", "", No},
	}
	for _, tt := range tests {
		var elements []string
		if tt.elements != "" {
			elements = strings.Split(tt.elements, ";")
		}
		m := &InIPSet{IPSetRef: IPSetRef{Set: ipsetOf(tt.typ, elements...), Dims: dirs(tt.dirs)}}
		a := m.Test(ipsetPacket())
		if a.Truth != tt.want {
			t.Errorf("%s %s of %s: %v, want %v", tt.typ, tt.dirs, tt.elements, a, tt.want)
		}
		if few := len(m.Dims) < len(m.Set.row().fields); a.Truth != Unknown && a.Assumed.Has(FromSet) == few {
			t.Errorf("%s %s of %s: rests on %v", tt.typ, tt.dirs, tt.elements, a.Assumed.List())
		}
		m.Invert = true
		if inverted := m.Test(ipsetPacket()); inverted.Truth != tt.want.Not() {
			t.Errorf("! %s %s of %s: %v, want %v", tt.typ, tt.dirs, tt.elements, inverted, tt.want.Not())
		}
	}
}

// What cannot be known of the packet, or of the set at its time.
func TestIPSetUnknown(t *testing.T) {
	openAddr := func(p *Packet) { p.Net.Open(12, 4, FromRoute) }
	openLow := func(p *Packet) { p.Net.Known[15], p.Net.Bits[15], p.Net.From[15] = 0, 0, FromRoute }
	openPort := func(p *Packet) { p.Trans.Open(2, 2, FromRandom) }
	noLink := func(p *Packet) { p.Link = Image{} }
	openMark := func(p *Packet) { p.Mark = UnknownBytes(4, FromMark) }
	openIif := func(p *Packet) { p.Iif = Iface{} }
	assumedIif := func(p *Packet) { p.Iif.State = IfaceAssumed }
	setsOpen := func(p *Packet) { p.SetsOpen = true }
	local := func(p *Packet) { p.Hook, p.Iif = Output, Iface{State: IfaceNone} }
	wg := func(p *Packet) { p.Iif.Link.Type = 65534 }
	six := func(p *Packet) { p.Family = FamilyIPv6 }
	tests := []struct {
		name, typ, dirs, elements string
		change                    func(*Packet)
		want                      Answer
	}{
		{"address", "hash:ip", "src", "10.0.0.1", openAddr, Answer{Unknown: Of(FromRoute)}},
		{"address, not that of this side", "hash:ip", "dst", "10.0.1.2", openAddr, Answer{Truth: Yes}},
		{"address, empty set", "hash:ip", "src", "", openAddr, Answer{Truth: No}},
		{"address within a net", "hash:net", "src", "10.0.0.0/24", openLow, Answer{Truth: Yes}},
		{"address within a net, perhaps not", "hash:net", "src", "10.0.0.0/24;10.0.0.7 nomatch", openLow, Answer{Unknown: Of(FromRoute)}},
		{"address within two nets", "hash:net", "src", "10.0.0.0/24;10.0.0.7", openLow, Answer{Truth: Yes}},
		{"address outside", "hash:net", "src", "10.0.1.0/24;11.0.0.0/8", openLow, Answer{Truth: No}},
		{"port", "hash:ip,port", "src,dst", "10.0.0.1,udp:53", openPort, Answer{Unknown: Of(FromRandom)}},
		{"port, of another address", "hash:ip,port", "src,dst", "10.0.0.2,udp:53", openPort, Answer{Truth: No}},
		{"port, of another protocol", "hash:ip,port", "src,dst", "10.0.0.1,tcp:53", openPort, Answer{Truth: No}},
		{"mac", "hash:mac", "src", "02:00:00:00:00:01", noLink, Answer{Unknown: Of(FromLink)}},
		{"mac, of another address", "hash:ip,mac", "src,src", "10.0.0.2,02:00:00:00:00:01", noLink, Answer{Truth: No}},
		{"mac, not filled in", "bitmap:ip,mac", "src,src", "10.0.0.1", noLink, Answer{Truth: Yes}},
		{"mac, of a packet of our own", "hash:mac", "src", "02:00:00:00:00:01", local, Answer{Truth: No}},
		{"mac, of a device without", "hash:mac", "src", "02:00:00:00:00:01", wg, Answer{Truth: No}},
		{"mark", "hash:ip,mark", "src,src", "10.0.0.1,0x12", openMark, Answer{Unknown: Of(FromMark)}},
		{"mark, of another address", "hash:ip,mark", "src,src", "10.0.0.2,0x12", openMark, Answer{Truth: No}},
		{"device", "hash:net,iface", "src,src", "10.0.0.0/8,eth0", openIif, Answer{Unknown: Of(FromIif)}},
		{"device, of another net", "hash:net,iface", "src,src", "10.0.9.0/24,eth0", openIif, Answer{Truth: No}},
		{"device, none", "hash:net,iface", "src,src", "10.0.0.0/8,eth0", local, Answer{Truth: No}},
		{"device, assumed", "hash:net,iface", "src,src", "10.0.0.0/8,eth0", assumedIif, Answer{Truth: Yes, Assumed: Of(FromIif)}},
		{"timeout", "hash:ip", "src", "10.0.0.1 timeout 60", nil, Answer{Unknown: Of(FromSet)}},
		{"timeout of another", "hash:ip", "src", "10.0.0.2 timeout 60;10.0.0.1 timeout 0", nil, Answer{Truth: Yes}},
		{"timeout, not there", "hash:ip", "src", "10.0.0.2 timeout 60", nil, Answer{Unknown: Of(FromSet)}},
		{"sets open", "hash:ip", "src", "10.0.0.1", setsOpen, Answer{Unknown: Of(FromSet)}},
		{"sets open, other family", "hash:ip", "src", "10.0.0.1", six, Answer{Truth: No}},
		{"port of a protocol without", "bitmap:port", "dst", "53", func(p *Packet) { p.Proto = 47 }, Answer{Truth: No}},
	}
	for _, tt := range tests {
		var elements []string
		if tt.elements != "" {
			elements = strings.Split(tt.elements, ";")
		}
		p := ipsetPacket()
		if tt.change != nil {
			tt.change(p)
		}
		m := &InIPSet{IPSetRef: IPSetRef{Set: ipsetOf(tt.typ, elements...), Dims: dirs(tt.dirs)}}
		a := m.Test(p)
		if a.Truth != tt.want.Truth || a.Truth == Unknown && a.Unknown != tt.want.Unknown || a.Assumed&tt.want.Assumed != tt.want.Assumed {
			t.Errorf("%s: %+v, want %+v", tt.name, a, tt.want)
		}
	}
}

func TestIPSetOfList(t *testing.T) {
	ports, nets := ipsetOf("bitmap:port", "53"), ipsetOf("hash:net,port", "10.0.0.0/8,udp:1000")
	six := ipsetOf("hash:ip")
	ports.Name, ports.Family, nets.Name, six.Name, six.Family = "ports", FamilyUnspec, "nets", "six", FamilyIPv6
	list := ipsetOf("list:set", "six", "nets", "ports")
	list.Name, list.Family, list.ID = "list", FamilyUnspec, 3
	rs := &Ruleset{IPSets: []*IPSet{ports, nets, six, list}}
	rs.PrepareIPSets()
	ask := func(dims string) Answer {
		m := &InIPSet{IPSetRef: rs.IPSetRef(3, dirs(dims)...)}
		return m.Test(ipsetPacket())
	}
	for dims, want := range map[string]Truth{"dst": Yes, "src": No, "src,src": Yes, "src,dst": No, "dst,src": Yes} {
		if a := ask(dims); a.Truth != want {
			t.Errorf("list %s: %v, want %v", dims, a, want)
		}
	}
	mark := ipsetOf("hash:ip,mark")
	if (&InIPSet{IPSetRef: rs.IPSetRef(3)}).AsksMark() || !(&InIPSet{IPSetRef: IPSetRef{Set: &IPSet{Members: []*IPSet{nil, mark}}}}).AsksMark() {
		t.Error("which lists ask for the mark")
	}
	list.Feed()
	if a := ask("dst"); a.Truth != Unknown || !ports.Fed || !nets.Fed {
		t.Errorf("a list that rules add to: %v, its members %t %t", a, ports.Fed, nets.Fed)
	}
	if m := (&InIPSet{IPSetRef: rs.IPSetRef(9)}); m.Test(ipsetPacket()).Truth != Unknown || m.Set != nil {
		t.Errorf("a set that is not there: %v", m.Test(ipsetPacket()))
	}
	loop := &IPSet{Name: "loop", Type: "list:set", Elements: []IPSetElement{{Name: "loop"}}}
	rs = &Ruleset{IPSets: []*IPSet{loop}}
	rs.PrepareIPSets()
	if m := (&InIPSet{IPSetRef: IPSetRef{Set: loop, Dims: dirs("src")}}); m.Test(ipsetPacket()).Truth != Unknown {
		t.Errorf("a list in itself: %v", m.Test(ipsetPacket()))
	}
}

func TestIPSetText(t *testing.T) {
	mac := ipsetOf("hash:ip,mac", "10.0.0.1,02:00:00:00:00:0a")
	mac.HashSize, mac.MaxElem, mac.BucketSize, mac.InitVal = 1024, 65536, 12, 0xbeef
	mark := ipsetOf("hash:ip,mark", "10.0.0.1,0x12 timeout 9")
	mark.Markmask, mark.Timeout = 0xff, 60
	six := &IPSet{Name: "six", Type: "hash:net,port,net", Family: FamilyIPv6, Elements: []IPSetElement{
		{IP: netip.MustParsePrefix("::1.2.3.4/128"), IP2: netip.MustParsePrefix("fe80::/10"), Proto: 58, Port: 0x8700, Nomatch: true},
		{IP: netip.MustParsePrefix("::/0"), IP2: netip.MustParsePrefix("::ffff:1.2.3.4/128"), Proto: 200, Port: 0},
	}}
	for _, tt := range []struct {
		s    *IPSet
		want string
	}{
		{mac, "create s hash:ip,mac family inet hashsize 1024 maxelem 65536 bucketsize 12 initval 0x0000beef\nadd s 10.0.0.1,02:00:00:00:00:0A\n"},
		{mark, "create s hash:ip,mark family inet markmask 0x000000ff hashsize 0 maxelem 0 timeout 60\nadd s 10.0.0.1,0x00000012 timeout 9\n"},
		{six, "create six hash:net,port,net family inet6 hashsize 0 maxelem 0\nadd six ::1.2.3.4,ipv6-icmp:neighbour-solicitation,fe80::/10 nomatch\nadd six ::/0,200:0,::ffff:1.2.3.4\n"},
	} {
		if got := tt.s.Save(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	m := &InIPSet{IPSetRef: IPSetRef{ID: 3, Dims: dirs("src,dst")}, Invert: true, ReturnNomatch: true, KeepCounters: true,
		Packets: IPSetCounterMatch{IPSetCounterNe, 5}, Bytes: IPSetCounterMatch{IPSetCounterGt, 6}}
	if got, want := m.Options(), "! --match-set #3 src,dst --return-nomatch ! --update-counters ! --packets-eq 5 --bytes-gt 6"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
