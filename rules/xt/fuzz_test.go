package xt

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

// FuzzBlob decodes any bytes as any extension, asks what came out of packets
// of every kind, and prints it. Nothing of it may panic, and what is not opaque
// stays so when it is decoded again.
func FuzzBlob(f *testing.F) {
	rows := fuzzRows()
	for i := range rows {
		f.Add(uint16(i), false, make([]byte, 600))
		f.Add(uint16(i), true, bytesOf(0xff, 600))
		f.Add(uint16(i), false, bytesOf(1, 64))
		f.Add(uint16(i), false, []byte{})
	}
	for _, rec := range recordedTables(f) {
		for _, b := range rec.blobs(f) {
			for i := range rows {
				if rows[i].name == b.Name && rows[i].revision == b.Revision {
					f.Add(uint16(i), false, b.Info)
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint16, big bool, info []byte) {
		row := rows[int(which)%len(rows)]
		var order binary.ByteOrder = binary.LittleEndian
		if big {
			order = binary.BigEndian
		}
		for _, family := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
			c := &Context{
				Order: order, Family: family, Span: rules.Span{0}, Proto: 6, IPSet: func(uint16) *rules.IPSet { return nil },
			}
			b := &Blob{Name: row.name, Revision: row.revision, Info: info}
			first, again := row.make(c, b), row.make(c, b)
			if fmt.Sprintf("%T", first) != fmt.Sprintf("%T", again) {
				t.Fatalf("%s: %T, then %T", row.name, first, again)
			}
			for _, p := range fuzzPackets(order, family) {
				for _, s := range first {
					if len(s.Covers()) != 1 {
						t.Fatalf("%s: %T covers %v", row.name, s, s.Covers())
					}
					cond, ok := s.(rules.Condition)
					if !ok {
						continue
					}
					if a := cond.Test(p); a.Truth == rules.Unknown && a.Unknown == 0 {
						t.Fatalf("%s: %T is not known for no reason", row.name, s)
					}
				}
			}
			walkRule(t, c, first)
			if x, err := row.decode(c, b); err == nil {
				var o Options
				x.Save(c, &o)
				alias(x, row.name)
			}
		}
	})
}

// fuzzRow is one revision of a match or a target.
type fuzzRow struct {
	name     string
	revision uint8
	make     func(*Context, *Blob) []rules.Statement
	decode   func(*Context, *Blob) (Extension, error)
}

func fuzzRows() []fuzzRow {
	var out []fuzzRow
	for _, group := range [][]row{headerMatches, metaMatches, openMatches} {
		for _, r := range group {
			out = append(out, fuzzRow{r.name, r.revision, Match, DecodeMatch})
		}
	}
	for _, group := range [][]row{natTargetRows, otherTargets} {
		for _, r := range group {
			out = append(out, fuzzRow{r.name, r.revision, Target, DecodeTarget})
		}
	}
	return out
}

func bytesOf(b byte, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		out[i] = b
	}
	return out
}

// fuzzPackets are packets of which all, something and nothing is known.
func fuzzPackets(order binary.ByteOrder, family rules.Family) []*rules.Packet {
	known := testPacket()
	known.Order, known.Family = order, family
	before, open := openPacket(order, family), openPacket(order, family)
	before.Tracked, before.Untracked = rules.No, rules.No
	return []*rules.Packet{known, before, open}
}

func openPacket(order binary.ByteOrder, family rules.Family) *rules.Packet {
	return &rules.Packet{
		Order: order, Family: family, Host: rules.NoHost{}, Net: openImage(40), Trans: openImage(20),
		Mark: rules.UnknownBytes(4, rules.FromMark), Priority: rules.UnknownBytes(4, rules.FromPriority), Trace: rules.UnknownBytes(1, rules.FromTrace),
	}
}

func openImage(n int) rules.Image {
	im := rules.Image{N: n}
	im.Open(0, n, rules.FromIPHeader)
	return im
}
