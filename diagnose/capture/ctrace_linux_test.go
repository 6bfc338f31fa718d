package capture

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// recreated is f with the same original tuple and another mapping.
func recreated(f host.Flow) host.Flow {
	f.Reply.Src = f.Reply.Src.Next()
	return f
}

// TestDeleteTakesNoOther: between the reading of an entry and its deletion it
// went, and its original tuple got another mapping. The new entry is not
// touched, also where it has the memory and so the id of the old one, which
// the original tuple with the id would not tell apart.
func TestDeleteTakesNoOther(t *testing.T) {
	newWire(t, nat)
	l := openHere(t, "")
	e := entriesHere(t, l)
	ctx := context.Background()
	const natted = host.StatusDstNATDone | host.StatusSrcNATDone
	f := host.Flow{
		Original: ruleTuple(17, "192.0.2.1", "192.0.2.2", 4001, 81), Reply: ruleTuple(17, "192.0.2.81", "192.0.2.1", 8081, 4001),
		Status: natted, Timeout: 100, Has: host.HasTimeout,
	}
	const tries = 1000
	same := 0
	for i := 0; i < tries && same < 3; i++ {
		if err := e.Insert(ctx, &f); err != nil {
			t.Fatal(err)
		}
		read, err := e.Get(ctx, &f)
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Delete(ctx, read); err != nil {
			t.Fatal(err)
		}
		other := recreated(f)
		if err := e.Insert(ctx, &other); err != nil {
			t.Fatal(err)
		}
		if err := e.Delete(ctx, read); !errors.Is(err, ErrNotFound) {
			t.Fatalf("delete of what is another one now: %v", err)
		}
		now, err := e.Get(ctx, &f)
		if err != nil || now.Reply != other.Reply {
			t.Fatalf("the new entry is touched: %+v, %v", now, err)
		}
		if now.ID == read.ID {
			same++
			deleteByOriginal(t, e, read)
			if _, err := e.Get(ctx, &f); !errors.Is(err, ErrNotFound) {
				t.Fatalf("by the original tuple: %v", err)
			}
			continue
		}
		if err := e.Delete(ctx, now); err != nil {
			t.Fatal(err)
		}
	}
	if same == 0 {
		t.Errorf("no id came again in %d tries", tries)
	}
}

// deleteByOriginal is the request that Delete does not make.
func deleteByOriginal(t *testing.T, e *Entries, f *host.Flow) {
	t.Helper()
	key, err := keyMessage(f, Original)
	if err != nil {
		t.Fatal(err)
	}
	w := builder{key}
	w.beU32(ctaID, f.ID)
	if err := e.change(context.Background(), ctDelete, 0, f, w.b); err != nil {
		t.Fatalf("the original tuple and an id that came again: %v", err)
	}
}

// TestDeleteAfterPackets is the same with packets and a rule that changed.
func TestDeleteAfterPackets(t *testing.T) {
	w := newWire(t, nat)
	w.udp(host.ProtoUDP, dnat4, true)
	l := openHere(t, "")
	e := entriesHere(t, l)
	ctx := context.Background()
	before, _ := flowsOf(t, l, Filter{})
	if len(before) != 1 {
		t.Fatalf("%+v", before)
	}
	if err := e.Delete(ctx, &before[0]); err != nil {
		t.Fatal(err)
	}
	run(t, "flush ruleset\ntable ip n { chain d { type nat hook output priority -100; udp dport 81 dnat to 192.0.2.99:8099; }; }\n", "nft", "-f", "-")
	w.udp(host.ProtoUDP, dnat4, false)
	if err := e.Delete(ctx, &before[0]); !errors.Is(err, ErrNotFound) {
		t.Errorf("delete: %v", err)
	}
	err := e.Update(ctx, &before[0], Change{SetMark: true, Mark: 1})
	if !errors.Is(err, ErrChanged) {
		t.Errorf("update: %v", err)
	}
	if err := e.Insert(ctx, &before[0]); !errors.Is(err, ErrExists) {
		t.Errorf("insert: %v", err)
	}
	after, _ := flowsOf(t, l, Filter{})
	if len(after) != 1 || after[0].Reply.SrcPort != 8099 || after[0].Mark != 0 {
		t.Errorf("%+v", after)
	}
}

// TestDeleteInZones: an entry goes, its twin in another zone stays.
func TestDeleteInZones(t *testing.T) {
	orig, reply := ruleTuple(6, "192.0.2.1", "192.0.2.2", 4001, 81), ruleTuple(6, "192.0.2.81", "192.0.2.1", 8081, 4001)
	otherReply, otherOrig := reply, orig
	otherReply.DstPort, otherOrig.Dst = 4009, otherOrig.Dst.Next()
	const natted = host.StatusDstNATDone | host.StatusSrcNATDone
	tests := []struct {
		name  string
		twins []host.Flow
	}{
		{"both directions", []host.Flow{{Zone: 7}, {Zone: 8}, {}}},
		{"the original direction", []host.Flow{{Zone: 7, Has: host.HasZoneOrig}, {Zone: 8, Has: host.HasZoneOrig, Reply: otherReply}}},
		{"the reply direction", []host.Flow{{Zone: 7, Has: host.HasZoneReply}, {Zone: 8, Has: host.HasZoneReply, Original: otherOrig}}},
	}
	for _, tt := range tests {
		for gone := range tt.twins {
			newNetns(t)
			l := openHere(t, "")
			e := entriesHere(t, l)
			for _, f := range tt.twins {
				f.Status, f.Timeout, f.TCPState = natted, 100, 3
				f.Has |= host.HasTimeout | host.HasTCPState
				if f.Original == (rules.Tuple{}) {
					f.Original = orig
				}
				if f.Reply == (rules.Tuple{}) {
					f.Reply = reply
				}
				if err := e.Insert(context.Background(), &f); err != nil {
					t.Fatalf("%s: %v", tt.name, err)
				}
			}
			before, _ := flowsOf(t, l, Filter{})
			if len(before) != len(tt.twins) {
				t.Fatalf("%s: %+v", tt.name, before)
			}
			if err := e.Delete(context.Background(), &before[gone]); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			for i := range before {
				got, err := e.Get(context.Background(), &before[i])
				switch {
				case i == gone && !errors.Is(err, ErrNotFound):
					t.Errorf("%s: zone %d is still there: %+v, %v", tt.name, before[i].Zone, got, err)
				case i != gone && (err != nil || got.ID != before[i].ID || got.Zone != before[i].Zone):
					t.Errorf("%s: zone %d: %+v, %v", tt.name, before[i].Zone, got, err)
				}
			}
		}
	}
}

func TestInsertRefusals(t *testing.T) {
	w := newWire(t, nat+ftpRules)
	w.ftp(plain(end{"192.0.2.1", 4000}, end{"192.0.2.2", 21}))
	l := openHere(t, "")
	e := entriesHere(t, l)
	ctx := context.Background()
	flows, _ := flowsOf(t, l, Filter{})
	var child host.Flow
	for _, f := range flows {
		if f.Has&host.HasMaster != 0 {
			child = f
		}
		if err := e.Delete(ctx, &f); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct {
		change func(f *host.Flow)
		want   string
	}{
		{func(f *host.Flow) {}, "its master is not in the table"},
		{func(f *host.Flow) { f.Original.Dst = rules.Tuple{}.Dst }, "the tuple is not complete"},
		{func(f *host.Flow) { f.Original.Proto = 17 }, "tuples of two protocols"},
		{func(f *host.Flow) { f.Original = ruleTuple(6, "::1", "::2", 1, 2) }, "tuples of two families"},
		{func(f *host.Flow) { f.Helper = "nosuch" }, `this kernel has no helper "nosuch" for this protocol`},
		{func(f *host.Flow) { f.Has &^= host.HasMaster; f.TCPState = 99 }, "the kernel refused a value: out of range"},
	}
	for _, tt := range tests {
		f := child
		tt.change(&f)
		if err := e.Insert(ctx, &f); err == nil || err.Error() != "conntrack insert: "+tt.want {
			t.Errorf("%v, want %s", err, tt.want)
		}
	}
	if left, _ := flowsOf(t, l, Filter{}); len(left) != 0 {
		t.Errorf("entries are left: %+v", left)
	}
}

// TestInsertedEnds: an RST ends a connection that was made again, however high
// its sequence number.
func TestInsertedEnds(t *testing.T) {
	const seq = 0x90000000
	w := newWire(t, nat)
	l := openHere(t, "")
	e := entriesHere(t, l)
	c := func(seq, ackn uint32, flags byte) {
		w.packet(6, dnat4.a.addr, dnat4.b.addr, segment(dnat4.a.port, dnat4.b.port, seq, ackn, flags, ""))
	}
	s := func(seq, ackn uint32, flags byte) {
		w.packet(6, dnat4.c.addr, dnat4.d.addr, segment(dnat4.c.port, dnat4.d.port, seq, ackn, flags, ""))
	}
	c(seq, 0, syn)
	s(seq, seq+1, syn|ack)
	c(seq+1, seq+1, ack)
	flows, _ := flowsOf(t, l, Filter{})
	for _, f := range flows {
		if err := e.Delete(context.Background(), &f); err != nil {
			t.Fatal(err)
		}
		if err := e.Insert(context.Background(), &f); err != nil {
			t.Fatal(err)
		}
	}
	s(seq+1, seq+1, ack)
	c(seq+1, seq+1, rst|ack)
	if flows, _ = flowsOf(t, l, Filter{}); len(flows) != 1 || flows[0].State() != "CLOSE" {
		t.Errorf("%+v", flows)
	}
}

func TestInsertSynproxy(t *testing.T) {
	newNetns(t)
	l := openHere(t, "")
	e := entriesHere(t, l)
	f := host.Flow{
		Original: ruleTuple(6, "192.0.2.1", "192.0.2.2", 4000, 80), Reply: ruleTuple(6, "192.0.2.2", "192.0.2.1", 80, 4000),
		Has: host.HasSynproxy | host.HasSeqAdj, Synproxy: host.Synproxy{ISN: 1, ITS: 2, TSOff: 3},
		SeqAdj: [2]host.SeqAdj{{Pos: 7, Before: -3, After: 4}, {Pos: 8, Before: 5, After: -6}},
	}
	if err := e.Insert(context.Background(), &f); err != nil {
		t.Fatal(err)
	}
	got, err := e.Get(context.Background(), &f)
	if err != nil || got.Has&f.Has != f.Has || got.Synproxy != f.Synproxy || got.SeqAdj != f.SeqAdj {
		t.Errorf("%+v, %v", got, err)
	}
	if got.Timeout < unknownTimeout-2 || got.Timeout > unknownTimeout {
		t.Errorf("timeout %d", got.Timeout)
	}
}

func TestUpdate(t *testing.T) {
	w := newWire(t, nat+labelsRules)
	w.udp(host.ProtoUDP, dnat4, false)
	l := openHere(t, "")
	e := entriesHere(t, l)
	ctx := context.Background()
	flows, _ := flowsOf(t, l, Filter{})
	f := flows[0]
	labels := func(bits ...int) (b [16]byte) {
		for _, n := range bits {
			b[n/8] |= 1 << (n % 8)
		}
		return b
	}
	refused := "conntrack update: the kernel does not let status [SRC_NAT] be set"
	tests := []struct {
		c    Change
		ok   func(f *host.Flow) bool
		want string
	}{
		{Change{SetMark: true, Mark: 0xf0}, func(f *host.Flow) bool { return f.Mark == 0xf0 }, ""},
		{Change{SetMark: true, Mark: 0xff, MarkMask: 0x0f}, func(f *host.Flow) bool { return f.Mark == 0xff }, ""},
		{Change{SetMark: true, MarkMask: 0xf0}, func(f *host.Flow) bool { return f.Mark == 0x0f }, ""},
		{Change{SetMark: true}, func(f *host.Flow) bool { return f.Mark == 0 }, ""},
		{Change{SetTimeout: true, Timeout: 500}, func(f *host.Flow) bool { return f.Timeout > 490 }, ""},
		{Change{Labels: labels(5, 126), LabelsMask: labels(5, 126)}, func(f *host.Flow) bool { return f.Labels == labels(3, 5, 126, 127) }, ""},
		{Change{LabelsMask: labels(3, 5)}, func(f *host.Flow) bool { return f.Labels == labels(126, 127) }, ""},
		{Change{Status: host.StatusSrcNAT}, nil, refused},
		{Change{Status: host.StatusAssured | host.StatusSeenReply}, func(f *host.Flow) bool {
			return f.Status.Has(host.StatusAssured | host.StatusSeenReply | host.StatusDstNAT)
		}, ""},
		{Change{Status: host.StatusFixedTimeout, SetTimeout: true, Timeout: 77}, func(f *host.Flow) bool {
			return f.Status.Has(host.StatusFixedTimeout) && f.Timeout > 70 && f.Timeout <= 77
		}, ""},
		{Change{SetTimeout: true, Timeout: 500}, nil, "conntrack update: its timeout is fixed"},
	}
	for _, tt := range tests {
		err := e.Update(ctx, &f, tt.c)
		if tt.want != "" {
			if err == nil || err.Error() != tt.want {
				t.Errorf("%+v: %v, want %s", tt.c, err, tt.want)
			}
			continue
		}
		got, gerr := e.Get(ctx, &f)
		if err != nil || gerr != nil || !tt.ok(got) {
			t.Errorf("%+v: %+v, %v, %v", tt.c, got, err, gerr)
		}
	}
	if err := e.Delete(ctx, &f); err != nil {
		t.Fatal(err)
	}
	if err := e.Update(ctx, &f, Change{SetMark: true}); !errors.Is(err, ErrNotFound) || errors.Is(err, unix.EPERM) {
		t.Errorf("one that is gone: %v", err)
	}
}

func TestUpdateWithoutLabels(t *testing.T) {
	w := newWire(t, nat)
	w.udp(host.ProtoUDP, dnat4, false)
	l := openHere(t, "")
	flows, _ := flowsOf(t, l, Filter{})
	err := entriesHere(t, l).Update(context.Background(), &flows[0], Change{Labels: [16]byte{1}, LabelsMask: [16]byte{1}})
	if err == nil || err.Error() != "conntrack update: no room for labels: no rule here uses them" {
		t.Errorf("%v", err)
	}
}
