package capture

import (
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/packet"
	"github.com/ntdiag/ntdiag/rules"
)

// messageFlows have every part that a message can hold.
var messageFlows = map[string]host.Flow{
	"tcp": {
		Original: ruleTuple(6, "192.0.2.1", "192.0.2.2", 4000, 80), Reply: ruleTuple(6, "192.0.2.2", "192.0.2.1", 80, 4000),
		Family: rules.FamilyIPv4, Status: host.StatusAssured | host.StatusConfirmed, Timeout: 9, Mark: 7, Zone: 3,
		TCPState: 3, TCPFlags: [2]uint8{3, 1}, TCPScale: [2]uint8{7, 8}, Helper: "ftp", Labels: [16]byte{1, 15: 0x80},
		SeqAdj: [2]host.SeqAdj{{Pos: 1, Before: -2, After: 3}, {Pos: 4}}, Synproxy: host.Synproxy{ISN: 1, TSOff: 2},
		Has: host.HasTimeout | host.HasMark | host.HasTCPState | host.HasTCPFlags | host.HasTCPScale | host.HasHelper |
			host.HasLabels | host.HasSeqAdj | host.HasSynproxy,
	},
	"sctp with a master, in a zone of the original direction": {
		Original: ruleTuple(132, "2001:db8::1", "2001:db8::2", 4000, 80), Reply: ruleTuple(132, "2001:db8::2", "2001:db8::1", 80, 4000),
		Master: ruleTuple(6, "2001:db8::1", "2001:db8::2", 1, 2), Family: rules.FamilyIPv6, Status: host.StatusConfirmed, Timeout: 9,
		Zone: 3, L4State: 4, VTags: [2]uint32{5, 6},
		Has: host.HasTimeout | host.HasMaster | host.HasZoneOrig | host.HasSCTPState | host.HasVTags,
	},
	"dccp, in a zone of the reply direction": {
		Original: ruleTuple(33, "192.0.2.1", "192.0.2.2", 4000, 80), Reply: ruleTuple(33, "192.0.2.2", "192.0.2.1", 80, 4000),
		Family: rules.FamilyIPv4, Status: host.StatusConfirmed, Timeout: 9, Zone: 3, L4State: 4, DCCPRole: 1, DCCPSeq: 1 << 40,
		Has: host.HasTimeout | host.HasZoneReply | host.HasDCCPState | host.HasDCCPRole | host.HasDCCPSeq,
	},
	"icmp": {
		Original: ruleTuple(1, "192.0.2.1", "192.0.2.2", 77, 8<<8), Reply: ruleTuple(1, "192.0.2.2", "192.0.2.1", 77, 0),
		Family: rules.FamilyIPv4, Status: host.StatusConfirmed, Timeout: 9, Has: host.HasTimeout,
	},
}

func TestInsertMessage(t *testing.T) {
	for name, want := range messageFlows {
		b, err := insertMessage(&want)
		if err != nil {
			t.Fatal(err)
		}
		var got host.Flow
		if err := ParseFlow(b, &got); err != nil || got != want {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, err, got, want)
		}
	}
}

func FuzzMessages(f *testing.F) {
	f.Add(sampleFlow())
	for _, flow := range messageFlows {
		b, err := insertMessage(&flow)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		var flow, got host.Flow
		if ParseFlow(payload, &flow) != nil {
			return
		}
		if b, err := deleteMessage(&flow); err == nil && !namesOne(b) {
			t.Fatalf("a delete without a whole tuple and an id: %+v", flow)
		}
		b, err := insertMessage(&flow)
		if err != nil {
			return
		}
		if err := ParseFlow(b, &got); err != nil {
			t.Fatalf("%+v: %v", flow, err)
		}
		if want := sent(flow); got != want {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	})
}

// namesOne tells whether a delete request holds a reply tuple of two addresses
// and a protocol, and an id.
func namesOne(b []byte) bool {
	var addrs, proto, id bool
	for a := (attrs{b: b}); a.next(); {
		switch a.typ {
		case ctaID:
			id = true
		case ctaTupleReply:
			for in := (attrs{b: a.val}); in.next(); {
				addrs = addrs || in.typ == 1 && (len(in.val) == 2*8 || len(in.val) == 2*20)
				proto = proto || in.typ == 2
			}
		}
	}
	return addrs && proto && id
}

// sent is what of f the message for an insert holds.
func sent(f host.Flow) host.Flow {
	out := host.Flow{
		Family: f.Family, Original: sentTuple(f.Original), Reply: sentTuple(f.Reply), Zone: f.Zone,
		Status: f.Status&SettableStatus | host.StatusConfirmed, Timeout: unknownTimeout,
		Has: f.Has&(host.HasZoneOrig|host.HasZoneReply) | host.HasTimeout,
	}
	if f.Status&natDone != 0 {
		out.Reply = sentTuple(packet.Inverse(f.Original))
	}
	part := func(h host.Present, copy func()) {
		if f.Has&h != 0 {
			out.Has |= h
			copy()
		}
	}
	part(host.HasTimeout, func() { out.Timeout = f.Timeout })
	part(host.HasMark, func() { out.Mark = f.Mark })
	part(host.HasMaster, func() { out.Master = sentTuple(f.Master) })
	part(host.HasSeqAdj, func() { out.SeqAdj = f.SeqAdj })
	part(host.HasSynproxy, func() { out.Synproxy = f.Synproxy })
	if f.Helper != "" {
		out.Has, out.Helper = out.Has|host.HasHelper, f.Helper
	}
	if f.Labels != [16]byte{} {
		out.Has, out.Labels = out.Has|host.HasLabels, f.Labels
	}
	switch {
	case f.Has&host.HasTCPState != 0:
		part(host.HasTCPState, func() { out.TCPState = f.TCPState })
		part(host.HasTCPScale, func() { out.TCPScale = f.TCPScale })
		part(host.HasTCPFlags, func() {
			out.TCPFlags = [2]uint8{f.TCPFlags[Original] &^ tcpMaxAck, f.TCPFlags[Reply] &^ tcpMaxAck}
		})
	case f.Has&host.HasDCCPState != 0:
		out.Has |= host.HasDCCPState | host.HasDCCPRole
		out.L4State, out.DCCPRole = f.L4State, f.DCCPRole
		part(host.HasDCCPSeq, func() { out.DCCPSeq = f.DCCPSeq })
	case f.Has&host.HasSCTPState != 0:
		out.Has |= host.HasSCTPState | host.HasVTags
		out.L4State, out.VTags = f.L4State, f.VTags
	}
	return out
}

// sentTuple is t without the ports that its protocol does not have.
func sentTuple(t rules.Tuple) rules.Tuple {
	f := host.Flow{Original: t}
	if !f.HasPorts() && !f.IsICMP() {
		t.SrcPort, t.DstPort = 0, 0
	}
	return t
}
