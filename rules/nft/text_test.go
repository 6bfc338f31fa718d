package nft

import (
	"encoding/binary"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

var (
	textLE    = binary.LittleEndian
	textDport = &rules.Payload{Base: rules.PayloadTransport, Off: 2, Len: 2}
	textSaddr = &rules.Payload{Base: rules.PayloadNetwork, Off: 12, Len: 4}
	textDaddr = &rules.Payload{Base: rules.PayloadNetwork, Off: 16, Len: 4}
	textSix   = &rules.Payload{Base: rules.PayloadNetwork, Off: 24, Len: 16}
	textMark  = &rules.Meta{Key: rules.MetaMark}
	textIn    = &rules.Meta{Key: rules.MetaIifname}
)

// nameBytes is a device name as registers hold it.
func nameBytes(s string) []byte {
	b := make([]byte, 16)
	copy(b, s)
	return b
}

func TestValueText(t *testing.T) {
	for _, tt := range []struct {
		expr  rules.Expr
		data  []byte
		order binary.ByteOrder
		want  string
	}{
		{textDport, []byte{1, 187}, textLE, "443"},
		{textSaddr, []byte{10, 0, 0, 1}, textLE, "10.0.0.1"},
		{textSix, append([]byte{0xfe, 0x80}, append(make([]byte, 13), 1)...), textLE, "fe80::1"},
		{textIn, nameBytes("eth0"), textLE, `"eth0"`},
		{textIn, []byte("eth"), textLE, `"eth*"`},
		{textIn, nameBytes("a\x1b[2J"), textLE, `"a\x1b[2J"`},
		{textMark, []byte{0x10, 0, 0, 0}, textLE, "0x00000010"},
		{textMark, []byte{0, 0, 0, 0x10}, binary.BigEndian, "0x00000010"},
		{&rules.Byteorder{X: textMark, ToNetwork: true, Size: 4, Len: 4}, []byte{0, 0, 0, 5}, textLE, "0x00000005"},
		{&rules.Ct{Key: rules.CtState, Dir: rules.CtDirNone}, []byte{10, 0, 0, 0}, textLE, "established | new"},
		{&rules.Ct{Key: rules.CtStatus, Dir: rules.CtDirNone}, []byte{0, 0, 0, 0x20}, binary.BigEndian, "dnat"},
		{&rules.Meta{Key: rules.MetaL4proto}, []byte{6}, textLE, "tcp"},
		{&rules.Meta{Key: rules.MetaL4proto}, []byte{58}, textLE, "ipv6-icmp"},
		{&rules.Meta{Key: rules.MetaL4proto}, []byte{253}, textLE, "253"},
		{&rules.Meta{Key: rules.MetaPkttype}, []byte{1}, textLE, "broadcast"},
		{&rules.Meta{Key: rules.MetaIif}, []byte{1, 0, 0, 0}, textLE, `"lo"`},
		{&rules.Meta{Key: rules.MetaIif}, []byte{7, 0, 0, 0}, textLE, "7"},
		{&rules.Fib{Result: rules.FibAddrType, Flags: rules.FibDaddr}, []byte{2, 0, 0, 0}, textLE, "local"},
		{&rules.Bitwise{X: &rules.Payload{Base: rules.PayloadNetwork, Off: 1, Len: 1}, Mask: []byte{0xfc}, Xor: []byte{0}}, []byte{0x20}, textLE, "cs1"},
		{&rules.Concat{Parts: []rules.Expr{textDaddr, textDport}}, []byte{10, 0, 0, 1, 0, 80, 0, 0}, textLE, "10.0.0.1 . 80"},
		{&rules.Concat{Parts: []rules.Expr{textDaddr, textDport}}, []byte{10, 0}, textLE, "0xa00 . 0"},
		{textDport, nil, textLE, "0"},
	} {
		if got := ValueText(tt.expr, tt.data, tt.order); got != tt.want {
			t.Errorf("ValueText(%s, %x) = %s, want %s", ExprText(tt.expr, rules.FamilyIPv4), tt.data, got, tt.want)
		}
	}
}

func TestExprText(t *testing.T) {
	for _, tt := range []struct {
		expr   rules.Expr
		family rules.Family
		want   string
	}{
		{textDport, rules.FamilyIPv4, "th dport"},
		{textSaddr, rules.FamilyIPv4, "ip saddr"},
		{textSaddr, rules.FamilyIPv6, "@nh,96,32"},
		{textSix, rules.FamilyIPv6, "ip6 daddr"},
		{textMark, rules.FamilyInet, "meta mark"},
		{textIn, rules.FamilyInet, "iifname"},
		{&rules.Ct{Key: rules.CtDstIP, Dir: rules.CtDirOriginal}, rules.FamilyInet, "ct original ip daddr"},
		{&rules.Bitwise{X: textSaddr, Mask: []byte{255, 255, 255, 0}, Xor: make([]byte, 4)}, rules.FamilyIPv4, "ip saddr & 255.255.255.0"},
		{&rules.Fib{Result: rules.FibOif, Flags: rules.FibSaddr | rules.FibIif}, rules.FamilyIPv4, "fib saddr . iif oif"},
		{&rules.Numgen{Random: true, Modulus: 3}, rules.FamilyIPv4, "numgen random mod 3"},
		{&rules.Payload{Base: rules.PayloadInner, Off: 1, Len: 2}, rules.FamilyIPv4, "@ih,8,16"},
		{&rules.Payload{Base: 99, Off: 1, Len: 2}, rules.FamilyIPv4, "@ih,8,16"},
		{&rules.Tainted{Len: 4}, rules.FamilyIPv4, "[ ? ]"},
	} {
		if got := ExprText(tt.expr, tt.family); got != tt.want {
			t.Errorf("ExprText of %s = %s, want %s", show(tt.expr), got, tt.want)
		}
	}
}

func TestMissText(t *testing.T) {
	known := func(b ...byte) *rules.Value { v := rules.KnownBytes(b); return &v }
	name := func(s string) *rules.Value { v := rules.KnownBytes(nameBytes(s)); return &v }
	unknown := rules.UnknownBytes(4, rules.FromMark)
	absent := rules.Missing(4)
	toAddr := &rules.Set{Flags: rules.SetAnonymous | rules.SetMap, DataType: 7, DataLen: 4,
		Elements: []rules.Element{{Key: []byte{10, 0, 0, 1}, Data: []byte{192, 168, 1, 7}}}}
	anon := &rules.Set{Flags: rules.SetAnonymous, Elements: []rules.Element{{Key: []byte{10, 0, 0, 1}}, {Key: []byte{10, 0, 0, 2}}}}
	long := &rules.Set{Flags: rules.SetAnonymous}
	for i := range 9 {
		long.Elements = append(long.Elements, rules.Element{Key: []byte{0, byte(i)}})
	}
	state := &rules.Bitwise{X: &rules.Ct{Key: rules.CtState, Dir: rules.CtDirNone}, Mask: []byte{6, 0, 0, 0}, Xor: make([]byte, 4)}
	masked := &rules.Bitwise{X: textSaddr, Mask: []byte{255, 255, 240, 0}, Xor: make([]byte, 4)}
	for _, tt := range []struct {
		cond rules.Statement
		got  *rules.Value
		want string
	}{
		{&rules.Match{Left: textDport, Right: []byte{0x1f, 0x90}}, known(1, 187), "th dport 443 ≠ 8080"},
		{&rules.Match{Left: textDport, Op: rules.CmpNeq, Right: []byte{0, 80}}, known(0, 80), "th dport 80 = 80"},
		{&rules.Match{Left: textDport, Op: rules.CmpGt, Right: []byte{0, 80}}, known(0, 22), "th dport 22 ≤ 80"},
		{&rules.Match{Left: textIn, Right: nameBytes("wan")}, name("c0"), `iifname "c0" ≠ "wan"`},
		{&rules.Match{Left: &rules.Slice{X: textIn, Len: 3}, Right: []byte("eth")}, name("c0"), `iifname "c0" ≠ "eth*"`},
		{&rules.Match{Left: textMark, Right: []byte{1, 0, 0, 0}}, &unknown, "meta mark not known"},
		{&rules.Match{Left: textMark, Right: []byte{1, 0, 0, 0}}, nil, "meta mark not known"},
		{&rules.Match{Left: textMark, Right: []byte{1, 0, 0, 0}}, &absent, "meta mark is not there"},
		{&rules.Match{Left: textSix, Right: make([]byte, 16)}, known(append(make([]byte, 15), 1)...), "ip6 daddr ::1 ≠ ::"},
		{&rules.MatchRange{Left: textDport, Lo: []byte{0, 1}, Hi: []byte{0, 9}}, known(0, 22), "th dport 22 not in 1-9"},
		{&rules.InSet{Key: textDaddr, Set: anon}, known(10, 0, 0, 9), "ip daddr 10.0.0.9 not in { 10.0.0.1, 10.0.0.2 }"},
		{&rules.InSet{Key: &rules.Bitwise{X: textDaddr, Mask: []byte{255, 255, 255, 0}, Xor: make([]byte, 4)}, Set: anon}, known(10, 0, 9, 0),
			"ip daddr & 255.255.255.0 10.0.9.0/24 not in { 10.0.0.1, 10.0.0.2 }"},
		{&rules.InSet{Key: textDaddr, Set: toAddr}, known(10, 0, 0, 9), "ip daddr 10.0.0.9 not in { 10.0.0.1 : 192.168.1.7 }"},
		{&rules.Match{Left: &rules.Bitwise{X: textDaddr, Mask: []byte{255, 0, 0, 255}, Xor: make([]byte, 4)}, Right: []byte{10, 0, 0, 1}}, known(192, 0, 0, 2),
			"ip daddr & 255.0.0.255 ≠ 10.0.0.1"},
		{&rules.Match{Left: &rules.Slice{X: &rules.Ct{Key: rules.CtSrcIP, Dir: rules.CtDirOriginal}, Len: 2}, Right: []byte{192, 168}}, known(10, 0),
			"ct original ip saddr 10.0.0.0/16 ≠ 192.168.0.0/16"},
		{&rules.InSet{Key: textDaddr, Set: anon, Invert: true}, known(10, 0, 0, 1), "ip daddr 10.0.0.1 in { 10.0.0.1, 10.0.0.2 }"},
		{&rules.InSet{Key: textDaddr, Set: &rules.Set{Name: "allowed"}}, known(10, 0, 0, 9), "ip daddr 10.0.0.9 not in @allowed"},
		{&rules.InSet{Key: textDport, Set: long}, known(1, 187), "th dport 443 not in { 0, 1, 2, 3, 4, 5, … 3 more }"},
		{&rules.Match{Left: masked, Right: []byte{10, 1, 0, 0}}, known(10, 2, 0, 0), "ip saddr 10.2.0.0/20 ≠ 10.1.0.0/20"},
		{&rules.Match{Left: state, Op: rules.CmpNeq, Right: make([]byte, 4)}, known(0, 0, 0, 0), "ct state established,related: none is set"},
		{&rules.Match{Left: state, Right: make([]byte, 4)}, known(6, 0, 0, 0), "ct state ! established,related: has established,related"},
		{&rules.Limit{Rate: 5, Unit: 1}, nil, "limit rate 5/second did not hold"},
	} {
		if got := MissText(tt.cond, tt.got, textLE); got != tt.want {
			t.Errorf("MissText of %s:\n  %s\nwant\n  %s", show(tt.cond), got, tt.want)
		}
	}
}

func TestConditionText(t *testing.T) {
	for want, s := range map[string]rules.Statement{
		"th dport 8080":           &rules.Match{Left: textDport, Right: []byte{0x1f, 0x90}},
		`iifname "c0"`:            &rules.Match{Left: textIn, Right: nameBytes("c0")},
		"ip saddr != 10.0.0.0/16": &rules.Match{Left: &rules.Payload{Base: 1, Off: 12, Len: 2}, Op: rules.CmpNeq, Right: []byte{10, 0}},
		"[ osf ? ]":               &rules.Opaque{Name: "osf"},
		"accept":                  &rules.Verdict{Code: rules.VerdictAccept},
		"jump a":                  &rules.Verdict{Code: rules.VerdictJump, ChainName: "a"},
		"counter":                 &rules.Counter{Packets: 7, Bytes: 8},
	} {
		if got := ConditionText(s); got != want {
			t.Errorf("ConditionText of %s = %s, want %s", show(s), got, want)
		}
	}
}

func TestRuleTextFull(t *testing.T) {
	r := &rules.Rule{
		Chain: &rules.Chain{Table: &rules.Table{Family: rules.FamilyInet}}, Comment: `it "is"`,
		Statements: []rules.Statement{
			&rules.Match{Left: &rules.Meta{Key: rules.MetaL4proto}, Right: []byte{6}},
			&rules.Match{Left: textDport, Right: []byte{0x1f, 0x90}},
			&rules.Counter{Packets: 7, Bytes: 8},
			&rules.NAT{Kind: rules.DNAT, Family: rules.FamilyIPv4, AddrMin: &rules.Const{Data: []byte{192, 168, 1, 80}}, PortMin: &rules.Const{Data: []byte{0, 80}}},
		},
	}
	if got, want := RuleText(r), "tcp dport 8080 counter dnat ip to 192.168.1.80:80"; got != want {
		t.Errorf("RuleText = %s, want %s", got, want)
	}
	if got, want := RuleTextFull(r), `tcp dport 8080 counter packets 7 bytes 8 dnat ip to 192.168.1.80:80 comment "it 'is'"`; got != want {
		t.Errorf("RuleTextFull = %s, want %s", got, want)
	}
	v := rules.KnownBytes([]byte{1, 187})
	if got, want := MissIn(r, r.Statements[1], &v, textLE), "tcp dport 443 ≠ 8080"; got != want {
		t.Errorf("MissIn = %s, want %s", got, want)
	}
	if got, want := ConditionIn(r, r.Statements[1], textLE), "tcp dport 8080"; got != want {
		t.Errorf("ConditionIn = %s, want %s", got, want)
	}
	if got := RuleText(&rules.Rule{}); got != "" {
		t.Errorf("RuleText of an empty rule = %q", got)
	}
}

func TestPriorityText(t *testing.T) {
	for _, tt := range []struct {
		family rules.Family
		hook   rules.Hook
		prio   int32
		want   string
	}{
		{rules.FamilyIPv4, rules.Prerouting, -100, "dstnat"},
		{rules.FamilyIPv4, rules.Prerouting, -95, "dstnat + 5"},
		{rules.FamilyIPv4, rules.Output, -100, "-100"},
		{rules.FamilyInet, rules.Postrouting, 100, "srcnat"},
		{rules.FamilyInet, rules.Forward, 0, "filter"},
		{rules.FamilyInet, rules.Forward, -10, "filter - 10"},
		{rules.FamilyInet, rules.Forward, -11, "-11"},
		{rules.FamilyBridge, rules.Forward, -200, "filter"},
		{rules.FamilyBridge, rules.Forward, 0, "0"},
		{rules.FamilyIPv4, rules.Forward, 2147483647, "2147483647"},
	} {
		if got := PriorityText(tt.family, tt.hook, tt.prio); got != tt.want {
			t.Errorf("PriorityText(%s, %s, %d) = %s, want %s", tt.family, tt.hook, tt.prio, got, tt.want)
		}
	}
}

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"eth0":             "eth0",
		"größe ✓":          "größe ✓",
		"a\x1b[31mred":     `a\x1b[31mred`,
		"line\nbreak\t":    `line\x0abreak\x09`,
		"\x7f\x9b":         `\x7f\x9b`,
		"bad\xff":          `bad\xff`,
		"\u202eright":      `\u202eright`,
		"zero\u200bwidth":  `zero\u200bwidth`,
		"\u009bcsi":        `\x9bcsi`,
		"plain 'quote' \"": "plain 'quote' \"",
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q) = %s, want %s", in, got, want)
		}
	}
}

// TestTextOfOddModels renders what no kernel sends but a file may hold.
func TestTextOfOddModels(t *testing.T) {
	loop := &rules.Chain{Name: "loop", Binding: true}
	jump := &rules.Verdict{Code: rules.VerdictJump, ChainName: "loop", Chain: loop}
	loop.Rules = []*rules.Rule{{Chain: loop, Statements: []rules.Statement{jump}}}
	anon := &rules.Set{Flags: rules.SetAnonymous | rules.SetMap, Elements: []rules.Element{
		{}, {Key: []byte{1}, KeyEnd: []byte{1, 2, 3}, Data: []byte{1}}, {Key: make([]byte, 40), Data: make([]byte, 64)},
	}}
	concat := &rules.Concat{Parts: []rules.Expr{textDaddr, textDport, &rules.Tainted{Len: 3}}}
	for _, s := range []rules.Statement{
		jump,
		&rules.Verdict{Code: 99}, &rules.Verdict{Code: -99, ChainName: "x"},
		&rules.VerdictMap{Key: concat}, &rules.VerdictMap{Key: concat, Set: anon},
		&rules.InSet{Key: textMark, Set: anon}, &rules.InSet{Key: textIn},
		&rules.Match{Left: textDport}, &rules.Match{Left: textDport, Op: 99, Right: make([]byte, 64)},
		&rules.Match{Left: &rules.Bitwise{X: textDaddr, Mask: []byte{1}, Xor: []byte{0}}, Right: []byte{0}},
		&rules.Match{Left: &rules.Bitwise{X: textDaddr, Mask: nil, Xor: nil}},
		&rules.Match{Left: &rules.Meta{Key: 999}, Right: []byte{1}}, &rules.Match{Left: &rules.Ct{Key: 999}, Right: []byte{1}},
		&rules.Match{Left: &rules.Ct{Key: rules.CtState, Dir: 9}, Right: []byte{255, 255, 255, 255}},
		&rules.Match{Left: &rules.Exthdr{Op: 99}}, &rules.Match{Left: &rules.Rt{Key: 99}}, &rules.Match{Left: &rules.Socket{Key: 99}},
		&rules.Match{Left: &rules.Fib{Result: 99}, Right: []byte{1}},
		&rules.MatchRange{Left: concat, Lo: []byte{1}},
		&rules.NAT{Kind: rules.DNAT, AddrMin: &rules.MapLookup{Key: concat, Set: anon}, PortMin: &rules.Slice{X: textMark, Len: 2}},
		&rules.NAT{Kind: rules.SNAT, Flags: rules.NATNetmap, AddrMin: &rules.Const{}, AddrMax: &rules.Const{Data: []byte{1}}},
		&rules.Assign{Dest: textMark, Value: &rules.MapLookup{Key: concat, Set: anon}},
		&rules.Assign{Dest: textDaddr, Value: &rules.Bitwise{X: textDaddr, Mask: []byte{1}, Xor: []byte{1, 2}}},
		&rules.Log{HasLevel: true, Level: 99, Prefix: "\x1b[2J"},
		&rules.ObjRef{Type: 99}, &rules.ObjRef{Key: concat, Set: anon},
		&rules.Dynset{Op: 99, Key: concat}, &rules.Reject{Type: 99, Code: 99}, &rules.Limit{},
	} {
		v := rules.KnownBytes([]byte{1})
		r := &rules.Rule{Statements: []rules.Statement{s}}
		for _, got := range []string{RuleText(r), RuleTextFull(r), ConditionText(s), MissText(s, &v, textLE), MissText(s, nil, textLE)} {
			if got == "" {
				t.Errorf("no text for %T", s)
			}
			if got != Escape(got) {
				t.Errorf("text of %T is not harmless: %q", s, got)
			}
		}
	}
}

// TestTargetText: what targets of xtables do, where nf_tables has no words.
func TestTargetText(t *testing.T) {
	ref := rules.IPSetRef{Name: "seen", Dims: []rules.IPSetDir{rules.IPSetSrc}}
	at := &rules.Payload{Base: rules.PayloadNetwork, Off: 8, Len: 1}
	for _, tt := range []struct {
		s    rules.Statement
		want string
	}{
		{&rules.FeedIPSet{IPSetRef: ref}, "--add-set seen src"},
		{&rules.FeedIPSet{IPSetRef: ref, Delete: true}, "--del-set seen src"},
		{&rules.MapIPSet{InIPSet: rules.InIPSet{IPSetRef: ref}, Mark: true}, "--map-set seen src"},
		{&rules.Assign{Target: rules.AssignPayload, Dest: at, Value: &rules.Step{X: at, By: -2}}, "@nh,64,8 set @nh,64,8 -2"},
	} {
		if got := ConditionText(tt.s); got != tt.want {
			t.Errorf("%T: %q, want %q", tt.s, got, tt.want)
		}
	}
}
