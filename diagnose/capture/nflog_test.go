package capture

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
)

// loggedPacket is a message as the kernel makes it (__build_packet_message).
func loggedPacket() []byte {
	w := builder{b: []byte{2, 0, 0, 0}}
	w.attr(nfulaPacketHdr, []byte{8, 0, 0, 0})
	w.str(nfulaPrefix, "nf_ct_proto_6: invalid new ")
	w.beU32(nfulaInDev, 3)
	w.beU32(nfulaPhysInDev, 4)
	w.beU32(nfulaOutDev, 5)
	w.beU32(nfulaPhysOutDev, 6)
	w.beU32(nfulaMark, 0xbeef)
	w.attr(8, make([]byte, 12)) // NFULA_HWADDR
	w.beU16(15, 1)              // NFULA_HWTYPE
	w.beU16(17, 14)             // NFULA_HWLEN
	w.attr(nfulaHwHeader, []byte("dst...src...\x08\x00"))
	w.attr(nfulaTimestamp, be.AppendUint64(be.AppendUint64(nil, 1795340916), 478288))
	w.beU32(nfulaUID, 1000)
	w.beU32(nfulaGID, 100)
	w.beU32(nfulaSeq, 77)
	w.attr(200, []byte{1}) // of a later kernel
	w.attr(nfulaPayload, []byte("E packet"))
	return w.b
}

func TestParseLogged(t *testing.T) {
	now := time.Unix(5, 0)
	p := Logged{Prefix: []byte("of the one before"), UID: 7, HasUID: true, Lost: 3}
	if err := ParseLogged(loggedPacket(), now, &p); err != nil {
		t.Fatal(err)
	}
	want := Logged{
		At: time.Unix(1795340916, 478288000), Family: 2, Prefix: []byte("nf_ct_proto_6: invalid new "),
		Payload: []byte("E packet"), In: 3, PhysIn: 4, Out: 5, PhysOut: 6, Header: []byte("dst...src...\x08\x00"),
		Mark: 0xbeef, UID: 1000, GID: 100, HasUID: true, seq: 77, hasSeq: true,
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}
	if err := ParseLogged([]byte{10, 0, 0, 0}, now, &p); err != nil || !reflect.DeepEqual(p, Logged{At: now, Family: 10}) {
		t.Errorf("nothing but the header: %+v %v", p, err)
	}
	msg := loggedPacket()
	if n := testing.AllocsPerRun(100, func() { _ = ParseLogged(msg, now, &p) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func TestParseLoggedMalformed(t *testing.T) {
	attr := func(typ uint16, val []byte) []byte {
		w := builder{b: []byte{2, 0, 0, 0}}
		w.attr(typ, val)
		return w.b
	}
	tests := []struct {
		name    string
		payload []byte
		err     string
	}{
		{"empty", nil, "short packet"},
		{"short header", []byte{2, 0, 0}, "short packet"},
		{"cut", loggedPacket()[:30], "malformed attribute"},
		{"short packet header", attr(nfulaPacketHdr, []byte{8, 0}), "malformed attribute"},
		{"long mark", attr(nfulaMark, make([]byte, 8)), "malformed attribute"},
		{"short time", attr(nfulaTimestamp, make([]byte, 8)), "malformed attribute"},
		{"short number", attr(nfulaSeq, make([]byte, 2)), "malformed attribute"},
		{"short user", attr(nfulaUID, nil), "malformed attribute"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var p Logged
			if err := ParseLogged(tt.payload, time.Time{}, &p); err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
}

func FuzzParseLogged(f *testing.F) {
	f.Add(loggedPacket())
	f.Add([]byte{10, 0, 0, 0})
	now := time.Unix(1, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		var p Logged
		if ParseLogged(b, now, &p) != nil {
			return
		}
		if bytes.IndexByte(p.Prefix, 0) >= 0 {
			t.Errorf("prefix %q holds a NUL", p.Prefix)
		}
		if len(p.Payload)+len(p.Prefix)+len(p.Header) > len(b) {
			t.Errorf("more than there was: %d of %d bytes", len(p.Payload)+len(p.Prefix)+len(p.Header), len(b))
		}
		if p.At.Year() < 1970 || p.At.Year() > 40000 {
			t.Errorf("at %v", p.At)
		}
	})
}
