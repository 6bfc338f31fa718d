package capture

import (
	"errors"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func sampleEvent() []byte {
	w := builder{b: []byte{2, 0, 0, 0}}
	w.b = append(w.b, sampleFlow()...)
	w.attr(ctaTimestampEvent, be.AppendUint64(nil, 1700000000500000000))
	return w.b
}

func TestParseEvent(t *testing.T) {
	short := builder{b: sampleEvent()}
	short.attr(ctaTimestampEvent, []byte{1})
	tests := []struct {
		name       string
		typ, flags uint16
		payload    []byte
		want       EventKind
		fails      bool
	}{
		{"new", ctNew, 0x600, sampleEvent(), EventNew, false},
		{"update", ctNew, 0, sampleEvent(), EventUpdate, false},
		{"destroy", ctDelete, 0, sampleEvent(), EventDestroy, false},
		{"an expectation", 2 << 8, 0x600, sampleEvent(), 0, true},
		{"empty", ctNew, 0, nil, 0, true},
		{"cut", ctNew, 0, sampleEvent()[:20], 0, true},
		{"time of one byte", ctNew, 0, short.b, 0, true},
	}
	for _, tt := range tests {
		var e Event
		err := parseEvent(tt.typ, tt.flags, tt.payload, &e)
		if tt.fails != (err != nil) || err != nil && !errors.Is(err, errAttrLength) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil && (e.Kind != tt.want || !e.Stamped || !e.At.Equal(time.Unix(1700000000, 5e8)) || e.Flow.ID != 4021521188) {
			t.Errorf("%s: %+v", tt.name, e)
		}
	}
	var e Event
	b := sampleEvent()
	if n := testing.AllocsPerRun(100, func() { _ = parseEvent(ctNew, 0, b, &e) }); n != 0 {
		t.Errorf("%v allocations an event", n)
	}
}

func FuzzParseEvent(f *testing.F) {
	f.Add(uint16(ctNew), uint16(0x600), sampleEvent())
	f.Add(uint16(ctDelete), uint16(0), sampleEvent())
	f.Fuzz(func(t *testing.T, typ, flags uint16, b []byte) {
		var x Event
		if parseEvent(typ, flags, b, &x) != nil {
			return
		}
		x.Flow.Reply.Proto = x.Flow.Original.Proto // nf_ct_invert_tuple
		// what is read can be remembered and told again
		k := newKnownFlows(1)
		k.put(&x.Flow, knownOf(&x.Flow))
		got, ok := k.find(&x.Flow)
		if !ok || got != knownOf(&x.Flow) || got.differs(&x.Flow) {
			t.Errorf("remembered as %+v, %v: %+v", got, ok, x.Flow)
		}
		_ = k.each(func(f *host.Flow, _ known) error {
			if f.Original != x.Flow.Original || f.Reply != x.Flow.Reply || f.ID != x.Flow.ID || f.Zone != x.Flow.Zone || f.Status != x.Flow.Status {
				t.Errorf("told as %+v, was %+v", *f, x.Flow)
			}
			return nil
		})
	})
}

func TestKnownFlows(t *testing.T) {
	k := newKnownFlows(2)
	f4 := host.Flow{Family: rules.FamilyIPv4, ID: 7, Original: ruleTuple(6, "10.0.0.1", "10.0.0.2", 1, 2), Reply: ruleTuple(6, "10.0.0.3", "10.0.0.1", 2, 1), Has: host.HasTCPState | host.HasID, TCPState: 3, Mark: 5}
	f6 := host.Flow{Family: rules.FamilyIPv6, ID: 7, Original: ruleTuple(132, "fd00::1", "fd00::2", 1, 2), Reply: ruleTuple(132, "fd00::3", "fd00::1", 2, 1), Has: host.HasSCTPState | host.HasID | host.HasZoneReply, L4State: 4, Zone: 9}
	third := f4
	third.Zone = 3
	for _, f := range []*host.Flow{&f4, &f6, &third} {
		k.put(f, knownOf(f))
	}
	if _, ok := k.find(&third); ok || k.forgotten != 1 || k.len() != 2 {
		t.Errorf("the third of two: %v, %d forgotten, %d there", ok, k.forgotten, k.len())
	}
	update := f4
	update.Has, update.Mark, update.TCPState = host.HasID, 0, 0
	got, ok := k.find(&update)
	if got.fill(&update); !ok || update.TCPState != 3 || update.Mark != 5 || got.differs(&update) {
		t.Errorf("filled: %+v", update)
	}
	update.Status |= host.StatusAssured
	if !got.differs(&update) {
		t.Error("a status bit is no difference")
	}
	var told []host.Flow
	if err := k.each(func(f *host.Flow, _ known) error { told = append(told, *f); return nil }); err != nil || len(told) != 2 || told[1] != f6 {
		t.Errorf("told %+v, %v", told, err)
	}
	k.drop(&f4)
	k.put(&third, knownOf(&third))
	if _, ok := k.find(&third); !ok || k.len() != 2 {
		t.Error("no room after one went")
	}
}
