package nft

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ntdiag/ntdiag/rules"
)

// inner wraps an expression that looks inside VXLAN.
func inner(x rules.RawExpr) rules.RawExpr {
	return raw("inner", n32(1, 0), n32(2, 1), n32(3, 15), n32(4, 8), tlv(5, text(1, x.Name), tlv(2, x.Data)))
}

func immediate(reg uint32, v ...byte) rules.RawExpr {
	return raw("immediate", n32(1, reg), value(2, v...))
}

// restCases are the expressions that not every kernel has, or that not every
// nft can write: what they decode to, and how they are printed.
var restCases = []struct {
	name   string
	family rules.Family
	raw    []rules.RawExpr
	want   string // the last statement
	text   string
}{
	{"tproxy", rules.FamilyInet, []rules.RawExpr{immediate(1, 127, 0, 0, 1), immediate(2, 0, 80),
		raw("tproxy", n32(1, 2), n32(2, 1), n32(3, 2))},
		"[0 1 2] TProxy{Family=ip Addr=Const{Data=7f000001} Port=Const{Data=0050}}", "tproxy ip to 127.0.0.1:80"},
	{"tproxy port of both families", rules.FamilyInet, []rules.RawExpr{immediate(1, 0, 80), raw("tproxy", n32(1, 0), n32(3, 1))},
		"[0 1] TProxy{Port=Const{Data=0050}}", "tproxy to :80"},
	{"tproxy in a table of its family", rules.FamilyIPv6, []rules.RawExpr{
		immediate(1, 0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), raw("tproxy", n32(1, 10), n32(2, 1))},
		"[0 1] TProxy{Family=ip6 Addr=Const{Data=20010db8000000000000000000000001}}", "tproxy to [2001:db8::1]"},
	{"tproxy port from a hash", rules.FamilyIPv4, []rules.RawExpr{
		raw("hash", n32(2, 1), n32(4, 2), n32(7, 1)), raw("tproxy", n32(1, 2), n32(3, 1))},
		"[0 1] TProxy{Family=ip Port=Slice{X=Hash{Symmetric=true Modulus=2} Len=2}}", "tproxy to :symhash mod 2"},
	{"dup", rules.FamilyIPv4, []rules.RawExpr{immediate(1, 10, 0, 0, 1), immediate(2, 1, 0, 0, 0), raw("dup", n32(1, 1), n32(2, 2))},
		"[0 1 2] Dup{Addr=Const{Data=0a000001} Device=Const{Data=01000000}}", `dup to 10.0.0.1 device "lo"`},
	{"dup to a device", rules.FamilyNetdev, []rules.RawExpr{immediate(1, 1, 0, 0, 0), raw("dup", n32(2, 1))},
		"[0 1] Dup{Device=Const{Data=01000000}}", `dup to "lo"`},
	{"fwd", rules.FamilyNetdev, []rules.RawExpr{immediate(1, 1, 0, 0, 0), raw("fwd", n32(1, 1))},
		"[0 1] Fwd{Device=Const{Data=01000000}}", `fwd to "lo"`},
	{"fwd to a neighbour", rules.FamilyNetdev, []rules.RawExpr{immediate(1, 1, 0, 0, 0), immediate(2, 10, 0, 0, 1),
		raw("fwd", n32(1, 1), n32(2, 2), n32(3, 2))},
		"[0 1 2] Fwd{Device=Const{Data=01000000} Addr=Const{Data=0a000001} Family=ip}", `fwd ip to 10.0.0.1 device "lo"`},
	{"queue", rules.FamilyInet, []rules.RawExpr{raw("queue", n16(1, 0), n16(2, 1), n16(3, 0))},
		"[0] Queue{Total=1}", "queue to 0"},
	{"queues", rules.FamilyInet, []rules.RawExpr{raw("queue", n16(1, 4), n16(2, 2), n16(3, 3))},
		"[0] Queue{Num=4 Total=2 Bypass=true Fanout=true}", "queue flags bypass,fanout to 4-5"},
	{"queue with bypass", rules.FamilyInet, []rules.RawExpr{raw("queue", n16(1, 65535), n16(3, 1))},
		"[0] Queue{Num=65535 Total=1 Bypass=true}", "queue flags bypass to 65535"},
	{"queue from a register", rules.FamilyInet, []rules.RawExpr{raw("hash", n32(2, 1), n32(4, 8), n32(7, 1)), raw("queue", n32(4, 1), n16(3, 0))},
		"[0 1] Queue{Total=1 From=Hash{Symmetric=true Modulus=8}}", "queue to symhash mod 8"},
	{"synproxy", rules.FamilyInet, []rules.RawExpr{raw("synproxy", n16(1, 1460), tlv(2, []byte{7}), n32(3, 15))},
		"[0] Synproxy{MSS=1460 Wscale=7 Flags=15}", "synproxy mss 1460 wscale 7 timestamp sack-perm"},
	{"synproxy without options", rules.FamilyInet, []rules.RawExpr{raw("synproxy")}, "[0] Synproxy{}", "synproxy"},
	{"last", rules.FamilyInet, []rules.RawExpr{raw("last", n32(1, 1), n64(2, 1500))}, "[0] Last{Set=true Ago=1500}", "last used 1s500ms"},
	{"last never", rules.FamilyInet, []rules.RawExpr{raw("last", n32(1, 0), n64(2, 0))}, "[0] Last{}", "last used never"},
	{"flow offload", rules.FamilyInet, []rules.RawExpr{raw("flow_offload", text(1, "ft"))}, `[0] FlowOffload{Flowtable="ft"}`, "flow add @ft"},
	{"option taken out", rules.FamilyInet, []rules.RawExpr{raw("exthdr", tlv(2, []byte{4}), n32(6, 1))}, "[0] StripOption{Option=4}", "reset tcp option sack-perm"},
	{"osf", rules.FamilyInet, []rules.RawExpr{raw("osf", n32(1, 1), tlv(2, []byte{1}), n32(3, 1)), equals(1, nameBytes("Linux:4.20")...)},
		"[0 1] Match{Left=Osf{TTL=1 Version=true} Right=4c696e75783a342e3230000000000000}", `osf ttl loose version "Linux:4.20"`},
	{"xfrm", rules.FamilyInet, []rules.RawExpr{raw("xfrm", n32(1, 1), n32(2, 5), tlv(3, []byte{0}), n32(4, 1)), equals(1, 7, 0, 0, 0)},
		"[0 1] Match{Left=Xfrm{Key=5 Index=1} Right=07000000}", "ipsec in spnum 1 reqid 7"},
	{"xfrm out", rules.FamilyInet, []rules.RawExpr{raw("xfrm", n32(1, 1), n32(2, 3), tlv(3, []byte{1})), equals(1, 10, 0, 0, 1)},
		"[0 1] Match{Left=Xfrm{Key=3 Out=true} Right=0a000001}", "ipsec out ip saddr 10.0.0.1"},
	{"tunnel", rules.FamilyInet, []rules.RawExpr{raw("tunnel", n32(1, 1), n32(2, 1), n32(3, 1)), equals(1, 10, 0, 0, 0)},
		"[0 1] Match{Left=Tunnel{Key=1 Mode=1} Right=0a000000}", "tunnel id 10"},
	{"tunnel path", rules.FamilyInet, []rules.RawExpr{raw("tunnel", n32(1, 0), n32(2, 1)), equals(1, 1)},
		"[0 1] Match{Left=Tunnel{} Right=01}", "tunnel path exists"},
	{"inside a tunnel", rules.FamilyIPv4, []rules.RawExpr{
		raw("meta", n32(1, 1), n32(2, 16)), equals(1, 17), dport(1), equals(1, 0x12, 0xb5),
		inner(raw("payload", n32(1, 1), n32(2, 0), n32(3, 12), n32(4, 2))), equals(1, 8, 0),
		inner(raw("payload", n32(1, 1), n32(2, 1), n32(3, 9), n32(4, 1))), equals(1, 6),
		inner(raw("payload", n32(1, 1), n32(2, 2), n32(3, 2), n32(4, 2))), equals(1, 0, 80)},
		"[8 9] Match{Left=Inner{Type=1 Flags=15 HdrSize=8 X=Payload{Base=2 Off=2 Len=2}} Right=0050}", "udp dport 4789 vxlan tcp dport 80"},
	{"address inside a tunnel", rules.FamilyIPv6, []rules.RawExpr{
		inner(raw("meta", n32(1, 1), n32(2, 1))), equals(1, 8, 0),
		inner(raw("payload", n32(1, 1), n32(2, 1), n32(3, 12), n32(4, 4))),
		raw("bitwise", n32(1, 1), n32(2, 1), n32(3, 4), value(4, 255, 255, 255, 0), value(5, 0, 0, 0, 0)), equals(1, 10, 1, 2, 0)},
		"[2 3 4] Match{Left=Bitwise{X=Inner{Type=1 Flags=15 HdrSize=8 X=Payload{Base=1 Off=12 Len=4}} Mask=ffffff00 Xor=00000000} Right=0a010200}",
		"vxlan ip saddr 10.1.2.0/24"},
	{"tunnel's own header", rules.FamilyInet, []rules.RawExpr{
		inner(raw("payload", n32(1, 1), n32(2, 4), n32(3, 4), n32(4, 3))), equals(1, 0, 0, 10)},
		"[0 1] Match{Left=Inner{Type=1 Flags=15 HdrSize=8 X=Payload{Base=4 Off=4 Len=3}} Right=00000a}", "vxlan vni 10"},
	{"set of what is inside a tunnel", rules.FamilyInet, []rules.RawExpr{
		inner(raw("payload", n32(1, 1), n32(2, 2), n32(3, 2), n32(4, 2))), lookup("ports", 1)},
		"[0 1] InSet{Key=Inner{Type=1 Flags=15 HdrSize=8 X=Payload{Base=2 Off=2 Len=2}} Set=@ports}", "vxlan th dport @ports"},
}

func TestRestOfExpressions(t *testing.T) {
	for _, tc := range restCases {
		t.Run(tc.name, func(t *testing.T) {
			table := fuzzTable()
			table.Family, table.Ruleset = tc.family, &rules.Ruleset{Order: binary.LittleEndian}
			r := &rules.Rule{Raw: tc.raw, Chain: &rules.Chain{Table: table, Name: "c"}}
			DecodeRule(binary.LittleEndian, table, r)
			checkSpans(t, tc.name, r.Statements, len(r.Raw))
			last := r.Statements[len(r.Statements)-1]
			if diff := cmp.Diff(tc.want, fmt.Sprintf("%v %s", last.Covers(), show(last))); diff != "" {
				t.Errorf("decoded differently (-want +got):\n%s", diff)
			}
			if got := RuleTextFull(r); got != tc.text {
				t.Errorf("text %q, want %q", got, tc.text)
			}
			if got := RuleText(r); strings.Contains(got, "used") {
				t.Errorf("%q has counts", got)
			}
			checkUse(r.Statements)
		})
	}
}

// TestObjects: objects that not every kernel has, and how they are printed.
func TestObjects(t *testing.T) {
	v4 := func(b ...byte) []byte { return b }
	tunnel := func(opts []byte) []byte {
		return tlv(4, n32(1, 10), tlv(2, tlv(1, v4(10, 0, 0, 1)), tlv(2, v4(10, 0, 0, 2))), n32(4, 0), tlv(5, v4(4)), tlv(6, v4(64)),
			n16(7, 1000), n16(8, 4789), tlv(9, opts))
	}
	for _, tc := range []struct {
		name   string
		typ    rules.ObjectType
		data   []byte
		detail string
		want   []string
	}{
		{"secmark", rules.ObjectSecmark, tlv(4, text(1, "system_u:object_r:ssh_t:s0")), "system_u:object_r:ssh_t:s0",
			[]string{"secmark o {", `	"system_u:object_r:ssh_t:s0"`}},
		{"synproxy with one option", rules.ObjectSynproxy, tlv(4, n16(1, 1460), tlv(2, v4(7)), n32(3, 7)), "mss 1460 wscale 7",
			[]string{"synproxy o {", "	mss 1460", "	wscale 7", "	 sack-perm"}},
		{"vxlan", rules.ObjectTunnel, tunnel(tlv(1, n32(1, 200))), "id 10",
			[]string{"tunnel o {", "	id 10", "	ip saddr 10.0.0.1", "	ip daddr 10.0.0.2", "	sport 1000", "	dport 4789", "	tos 4", "	ttl 64",
				"	vxlan {", "		gbp 200", "	}"}},
		{"erspan", rules.ObjectTunnel, tunnel(tlv(2, n32(1, 1), n32(2, 5))), "id 10",
			[]string{"	erspan {", "		version 1", "		index 5", "	}"}},
		{"erspan of version 2", rules.ObjectTunnel, tunnel(tlv(2, n32(1, 2), tlv(3, v4(9)), tlv(4, v4(1)))), "id 10",
			[]string{"	erspan {", "		version 2", "		direction egress", "		id 9", "	}"}},
		{"geneve", rules.ObjectTunnel, tunnel(append(tlv(3, n16(1, 0x10), tlv(2, v4(1)), tlv(3, v4(0, 0, 0, 1))), tlv(3, n16(1, 0x20), tlv(2, v4(2)), tlv(3, v4(1, 2, 3, 4)))...)), "id 10",
			[]string{"	geneve {", `		class 0x10 opt-type 0x1 data "0x00000001"`, `		class 0x20 opt-type 0x2 data "0x01020304"`, "	}"}},
		{"of a kind not known", 99, tlv(4, n32(1, 1)), "", []string{"# [ [ object 99 ? ] o ? ]"}},
	} {
		rs := build(t, binary.LittleEndian, []recorded{{"table", tableMsg()},
			{"object", message(text(1, "t"), text(2, "o"), n32(3, uint32(tc.typ)), tc.data)}})
		if got := rs.Tables[0].Objects[0].Detail; got != tc.detail {
			t.Errorf("%s: detail %q, want %q", tc.name, got, tc.detail)
		}
		if got, want := RulesetText(rs), "\t"+strings.Join(tc.want, "\n\t")+"\n"; !strings.Contains(got, want) {
			t.Errorf("%s: text\n%s\nwant in it\n%s", tc.name, got, want)
		}
		if len(rs.Tables[0].Incomplete) > 0 {
			t.Errorf("%s: %q", tc.name, rs.Tables[0].Incomplete)
		}
	}
}
