package invalid

import (
	"bytes"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/rules"
)

// inside tells whether part is empty or a piece of whole: cut from the same
// array, it ends where that ends.
func inside(part, whole []byte) bool {
	if len(part) == 0 {
		return true
	}
	i := cap(whole) - cap(part)
	return i >= 0 && i+len(part) <= len(whole) && &whole[i] == &part[0]
}

func checkMessage(t *testing.T, m *Message, text []byte) {
	for _, part := range [][]byte{m.Text, m.In, m.Out, m.PhysIn, m.PhysOut, m.Rest, m.Args.State, m.Args.Helper} {
		if !inside(part, text) {
			t.Errorf("%q does not lie in the text", part)
		}
	}
	if m.Rest != nil && len(m.Rest) == 0 {
		t.Error("nothing left over, but not nil")
	}
	if (m.Reason == nil) != (m.Form == nil) {
		t.Error("reason and form do not go together")
	}
	if m.Reason != nil && m.Reason.Kind != m.Kind {
		t.Errorf("kind %v of a reason of %v", m.Kind, m.Reason.Kind)
	}
	for _, p := range []*Packet{&m.Packet, &m.Inner} {
		switch p.Family {
		case rules.FamilyIPv4:
			if !p.Src.Is4() {
				t.Errorf("source %v", p.Src)
			}
		case rules.FamilyIPv6:
			if !p.Src.Is6() {
				t.Errorf("source %v", p.Src)
			}
		case rules.FamilyUnspec:
			if p.Src.IsValid() || p.Dst.IsValid() {
				t.Errorf("%v > %v without a family", p.Src, p.Dst)
			}
		}
		if p.Has&HasTCP != 0 && p.Has&HasSeq == 0 {
			t.Error("flags without numbers")
		}
	}
	show(m)
}

func FuzzParse(f *testing.F) {
	for _, r := range messages(f) {
		f.Add([]byte(r.line))
	}
	for _, line := range noise {
		f.Add([]byte(line))
	}
	f.Add([]byte("<5>[ 1.0] nf_ct_proto_6: invalid tcp flag combination SRC=10.0.2.1 DST=10.0.96.7 LEN=1040 … SEQ=1 ACK=0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		m := Message{Rest: []byte("of the last"), Args: Args{Has: ArgState}, Packet: Packet{Has: HasMark}}
		ok := Parse(text, &m)
		if ok != (m.Kind != KindNone) {
			t.Fatalf("%v, but kind %v", ok, m.Kind)
		}
		if !bytes.Equal(text, before) {
			t.Fatal("the text was changed")
		}
		if !ok {
			return
		}
		checkMessage(t, &m, text)
		if !kernlog.Netfilter(text) {
			t.Error("what keeps netfilter's lines of a log leaves it out")
		}
		// a word that nobody knows is left over, wherever it stands
		const word = "qX7=1"
		var again Message
		more := append(append(bytes.Clone(text), "\n IN= "...), word...)
		if m.Kind == KindInvalid && Parse(more, &again) && !bytes.Contains(again.Rest, []byte(word)) && again.Reason != nil {
			t.Errorf("%q: left over %q", more, again.Rest)
		}
	})
}

func FuzzParsePacket(f *testing.F) {
	f.Add([]byte("nf_ct_proto_6: invalid new "), []byte("\x45\x00\x00\x28\x12\x34\x40\x00\x40\x06\x10\x3d\x0a\x4d\x01\x63\x0a\x4d\x02\x63\x23\x29\x00\x50\x00\x00\x03\xe8\x00\x00\x00\x00\x50\x04\xfa\xf0\x75\x2f\x00\x00"), []byte("\xda\xff\xba\xe6\x8b\x04\xee\xe9\x55\x98\x14\xab\x08\x00"))
	f.Add([]byte("nf_ct_proto_58: short packet "), append([]byte("\x60\x00\x00\x00\x00\x14\x2c\x40"), make([]byte, 48)...), []byte{})
	f.Add([]byte("nf_ct_proto_1: bad hw icmp checksum "), append([]byte("\x45\x00\x00\x38\x12\x34\x40\x00\x40\x01\x10\x3d\x0a\x4d\x01\x63\x0a\x4d\x02\x63\x03\x04\x00\x50\x00\x00\x03\xe8"), bytes.Repeat([]byte{0x45}, 28)...), []byte{})
	f.Fuzz(func(t *testing.T, prefix, payload, header []byte) {
		m := Message{Rest: []byte("of the last"), HasMAC: true, HasInner: true, Inner: Packet{Has: HasPorts}}
		if !ParsePacket(&Raw{Prefix: prefix, Payload: payload, Header: header, Mark: 1}, &m) {
			if m.Kind != KindNone {
				t.Errorf("not ours, of kind %v", m.Kind)
			}
			return
		}
		checkMessage(t, &m, prefix)
		if m.Packet.Has&HasMark == 0 {
			t.Error("the mark is lost")
		}
	})
}
