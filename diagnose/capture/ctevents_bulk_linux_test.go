package capture

import (
	"context"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// bulk makes or deletes n entries, many messages at a time: entry i is one of
// a /16, from first on.
func bulk(t *testing.T, typ, flags uint16, first, n int, more func(*builder)) {
	t.Helper()
	c, err := newConn(unix.NETLINK_NETFILTER)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	const chunk = 100
	buf := make([]byte, ctBuffer)
	for at := first; at < first+n; at += chunk {
		var out []byte
		end := min(at+chunk, first+n)
		for i := at; i < end; i++ {
			var w builder
			w.nest(ctaTupleOrig, func(in *builder) { putTuple(in, bulkTuple(i)) })
			if more != nil {
				r := bulkTuple(i)
				r.Src, r.Dst, r.SrcPort, r.DstPort = r.Dst, r.Src, r.DstPort, r.SrcPort
				w.nest(ctaTupleReply, func(in *builder) { putTuple(in, r) })
				more(&w)
			}
			payload := nfgen(unix.AF_INET, w.b)
			ack := flags | unix.NLM_F_REQUEST
			if i == end-1 {
				ack |= unix.NLM_F_ACK
			}
			out = ne.AppendUint32(out, uint32(nlmHeader+len(payload)))
			out = ne.AppendUint16(ne.AppendUint16(out, typ), ack)
			out = append(ne.AppendUint32(ne.AppendUint32(out, 1), 0), payload...)
		}
		c.seq = 1
		if err := unix.Sendto(c.fd, out, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			t.Fatal(err)
		}
		b, err := c.recv(context.Background(), buf)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.each(b, &dumpInfo{}, func(message) error { return nil }); err != nil {
			t.Fatalf("entries %d to %d: %v", at, end, err)
		}
	}
}

func bulkTuple(i int) rules.Tuple {
	return rules.Tuple{
		Proto: host.ProtoUDP, SrcPort: uint16(1000 + i/50000), DstPort: 53,
		Src: netip.AddrFrom4([4]byte{10, 1, byte(i % 50000 >> 8), byte(i % 50000)}), Dst: netip.MustParseAddr("10.2.0.1"),
	}
}

func insertBulk(t *testing.T, first, n int) {
	t.Helper()
	bulk(t, ctNew, unix.NLM_F_CREATE|unix.NLM_F_EXCL, first, n, func(w *builder) {
		w.beU32(ctaStatus, uint32(host.StatusConfirmed|host.StatusAssured))
		w.beU32(ctaTimeout, 1000)
	})
}

func deleteBulk(t *testing.T, first, n int) {
	t.Helper()
	bulk(t, ctDelete, 0, first, n, nil)
}

func markBulk(t *testing.T, first, n int, mark uint32) {
	t.Helper()
	bulk(t, ctNew, 0, first, n, func(w *builder) { w.beU32(ctaMark, mark) })
}

// replay is the table as events tell it, with a complaint for everything that
// is told twice or out of nothing.
func replay(t *testing.T, events []Event, before []host.Flow) map[rules.Tuple]host.Flow {
	t.Helper()
	table, wrong := map[rules.Tuple]host.Flow{}, 0
	for _, f := range before {
		table[f.Original] = f
	}
	for i := range events {
		e := &events[i]
		old, there := table[e.Flow.Original]
		bad := false
		switch e.Kind {
		case EventNew:
			bad = there && old.ID == e.Flow.ID
			table[e.Flow.Original] = e.Flow
		case EventUpdate:
			bad = !there || old.ID != e.Flow.ID || e.Found && old.Mark == e.Flow.Mark && old.Status == e.Flow.Status
			table[e.Flow.Original] = e.Flow
		case EventDestroy:
			bad = !there || old.ID != e.Flow.ID
			delete(table, e.Flow.Original)
		}
		if bad {
			if wrong++; wrong < 5 {
				t.Errorf("event %d: %v (found: %v) of %+v, where the table has %v %+v", i, e.Kind, e.Found, e.Flow, there, old)
			}
		}
	}
	return table
}

// compare holds what events told against the table itself.
func compare(t *testing.T, told map[rules.Tuple]host.Flow, l *Live) {
	t.Helper()
	dump, _ := flowsOf(t, l, Filter{})
	wrong := 0
	for _, f := range dump {
		got, ok := told[f.Original]
		if !ok || got.ID != f.ID || got.Mark != f.Mark || got.Status != f.Status {
			if wrong++; wrong < 5 {
				t.Errorf("the table has %+v, told was (%v) %+v", f, ok, got)
			}
		}
	}
	if len(told) != len(dump) || wrong > 0 {
		t.Errorf("%d entries told, %d are there, %d differ", len(told), len(dump), wrong)
	}
}
