package flowjson

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
)

// plainObject is an entry as encoding/json would write it, field by field in the
// order of Append.
type plainObject struct {
	ID         *uint32      `json:"id,omitempty"`
	Family     string       `json:"family"`
	Proto      string       `json:"proto"`
	Protonum   uint8        `json:"protonum"`
	State      string       `json:"state,omitempty"`
	StateNum   *uint8       `json:"state_num,omitempty"`
	Zone       uint16       `json:"zone"`
	Mark       uint32       `json:"mark"`
	Original   plainTuple   `json:"original"`
	Reply      plainTuple   `json:"reply"`
	Status     []string     `json:"status"`
	Timeout    *uint32      `json:"timeout_s,omitempty"`
	Start      *time.Time   `json:"start,omitempty"`
	Counters   *plainCounts `json:"counters,omitempty"`
	Helper     *string      `json:"helper,omitempty"`
	Master     *plainMaster `json:"master,omitempty"`
	StatusMore uint32       `json:"status_more,omitempty"`
	Stop       *time.Time   `json:"stop,omitempty"`
	ZoneOf     string       `json:"zone_of,omitempty"`
	NoMark     bool         `json:"no_mark,omitempty"`
	Labels     string       `json:"labels,omitempty"`
	Secctx     *string      `json:"secctx,omitempty"`
	Use        *uint32      `json:"use,omitempty"`
	TCPFlags   *[2]int      `json:"tcp_flags,omitempty"`
	TCPScale   *[2]int      `json:"tcp_scale,omitempty"`
	VTags      *[2]uint32   `json:"vtags,omitempty"`
	DCCPRole   *uint8       `json:"dccp_role,omitempty"`
	DCCPSeq    *uint64      `json:"dccp_seq,omitempty"`
	SeqAdj     *[2]plainAdj `json:"seqadj,omitempty"`
	Synproxy   *plainSyn    `json:"synproxy,omitempty"`
}

type plainTuple struct {
	Src   string     `json:"src"`
	Dst   string     `json:"dst"`
	ICMP  *plainICMP `json:"icmp,omitempty"`
	Sport *uint16    `json:"sport,omitempty"`
	Dport *uint16    `json:"dport,omitempty"`
}

type plainMaster struct {
	Protonum uint8 `json:"protonum"`
	plainTuple
}

type plainICMP struct {
	Type uint8  `json:"type"`
	Code uint8  `json:"code"`
	ID   uint16 `json:"id"`
}

type plainCounts struct {
	Original plainCount `json:"original"`
	Reply    plainCount `json:"reply"`
}

type plainCount struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

type plainAdj struct {
	Pos    uint32 `json:"pos"`
	Before int32  `json:"before"`
	After  int32  `json:"after"`
}

type plainSyn struct {
	ISN   uint32 `json:"isn"`
	ITS   uint32 `json:"its"`
	TSOff uint32 `json:"tsoff"`
}

func plainTupleOf(t rules.Tuple) plainTuple {
	out := plainTuple{Src: t.Src.String(), Dst: t.Dst.String()}
	switch f := (host.Flow{Original: t}); {
	case f.IsICMP():
		typ, code := host.ICMPTypeCode(t)
		out.ICMP = &plainICMP{typ, code, t.SrcPort}
	case f.HasPorts():
		out.Sport, out.Dport = &t.SrcPort, &t.DstPort
	}
	return out
}

// when is v where the entry has it, else nil.
func when[T any](f *host.Flow, bit host.Present, v T) *T {
	if f.Has&bit == 0 {
		return nil
	}
	return &v
}

func plainOf(f *host.Flow) plainObject {
	pair := func(p [2]uint8) [2]int { return [2]int{int(p[0]), int(p[1])} }
	at := func(ns int64) time.Time { return time.Unix(0, ns).UTC() }
	out := plainObject{
		ID: when(f, host.HasID, f.ID), Family: FamilyWord(f.Family), Proto: query.ProtoName(f.Original.Proto), Protonum: f.Original.Proto,
		State: f.State(), Zone: f.Zone, Mark: f.Mark, Original: plainTupleOf(f.Original), Reply: plainTupleOf(f.Reply),
		Status: (f.Status & 0xffff).Names(), Timeout: when(f, host.HasTimeout, f.Timeout), Start: when(f, host.HasStart, at(f.Start)),
		Counters: when(f, host.HasCounters, plainCounts{plainCount(f.Orig), plainCount(f.Repl)}),
		Helper:   when(f, host.HasHelper, f.Helper), Master: when(f, host.HasMaster, plainMaster{f.Master.Proto, plainTuple{}}),
		StatusMore: uint32(f.Status) &^ 0xffff, Stop: when(f, host.HasStop, at(f.Stop)), NoMark: f.Has&host.HasMark == 0,
		Secctx: when(f, host.HasSecctx, f.Secctx), Use: when(f, host.HasUse, f.Use),
		TCPFlags: when(f, host.HasTCPFlags, pair(f.TCPFlags)), TCPScale: when(f, host.HasTCPScale, pair(f.TCPScale)),
		VTags: when(f, host.HasVTags, f.VTags), DCCPRole: when(f, host.HasDCCPRole, f.DCCPRole), DCCPSeq: when(f, host.HasDCCPSeq, f.DCCPSeq),
		SeqAdj:   when(f, host.HasSeqAdj, [2]plainAdj{plainAdj(f.SeqAdj[0]), plainAdj(f.SeqAdj[1])}),
		Synproxy: when(f, host.HasSynproxy, plainSyn(f.Synproxy)),
	}
	if out.Master != nil {
		out.Master.plainTuple = plainTupleOf(f.Master)
	}
	if out.State == "" {
		if out.StateNum = when(f, host.HasTCPState, f.TCPState); out.StateNum == nil {
			out.StateNum = when(f, host.HasSCTPState|host.HasDCCPState, f.L4State)
		}
	}
	switch {
	case f.Has&host.HasZoneOrig != 0:
		out.ZoneOf = "original"
	case f.Has&host.HasZoneReply != 0:
		out.ZoneOf = "reply"
	}
	if f.Has&host.HasLabels != 0 {
		out.Labels = hex.EncodeToString(f.Labels[:])
	}
	return out
}

// TestAppendIsEncodingJSON: byte by byte what encoding/json writes.
func TestAppendIsEncodingJSON(t *testing.T) {
	for _, base := range flows() {
		for bit := range 17 { // each status alone, and all as they are
			f := base
			if bit < 16 {
				f.Status = 1 << bit
			}
			var want bytes.Buffer
			e := json.NewEncoder(&want)
			e.SetEscapeHTML(false)
			if err := e.Encode(plainOf(&f)); err != nil {
				t.Fatal(err)
			}
			if got := append(Append(nil, &f), '\n'); !bytes.Equal(got, want.Bytes()) {
				t.Errorf("got  %swant %s", got, want.Bytes())
			}
		}
	}
}

func TestAppendUint(t *testing.T) {
	for n := range uint64(200_000) {
		if got, want := string(appendUint(nil, n)), strconv.FormatUint(n, 10); got != want {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	if got := string(appendUint([]byte("x"), math.MaxUint64)); got != "x18446744073709551615" {
		t.Error(got)
	}
}
