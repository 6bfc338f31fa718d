package flowjson

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// object is what Append writes. A pointer is nil where the field is absent.
type object struct {
	ID       *uint32  `json:"id"`
	Family   string   `json:"family"`
	Protonum *uint8   `json:"protonum"`
	State    string   `json:"state"`
	StateNum *uint8   `json:"state_num"`
	Zone     uint16   `json:"zone"`
	ZoneOf   string   `json:"zone_of"`
	Mark     uint32   `json:"mark"`
	NoMark   bool     `json:"no_mark"`
	Original *tuple   `json:"original"`
	Reply    *tuple   `json:"reply"`
	Master   *tuple   `json:"master"`
	Status   []string `json:"status"`
	More     uint32   `json:"status_more"`
	Timeout  *uint32  `json:"timeout_s"`
	Start    *string  `json:"start"`
	Stop     *string  `json:"stop"`
	Counters *struct {
		Original host.Counts `json:"original"`
		Reply    host.Counts `json:"reply"`
	} `json:"counters"`
	Helper   *string         `json:"helper"`
	Labels   *string         `json:"labels"`
	Secctx   *string         `json:"secctx"`
	Use      *uint32         `json:"use"`
	TCPFlags *[2]uint8       `json:"tcp_flags"`
	TCPScale *[2]uint8       `json:"tcp_scale"`
	VTags    *[2]uint32      `json:"vtags"`
	DCCPRole *uint8          `json:"dccp_role"`
	DCCPSeq  *uint64         `json:"dccp_seq"`
	SeqAdj   *[2]host.SeqAdj `json:"seqadj"`
	Synproxy *host.Synproxy  `json:"synproxy"`
}

type tuple struct {
	Protonum *uint8  `json:"protonum"` // of a master
	Src      string  `json:"src"`
	Dst      string  `json:"dst"`
	Sport    *uint16 `json:"sport"`
	Dport    *uint16 `json:"dport"`
	ICMP     *struct {
		Type uint8  `json:"type"`
		Code uint8  `json:"code"`
		ID   uint16 `json:"id"`
	} `json:"icmp"`
}

// Read reads what Append writes into f, which it overwrites; a line feed may
// follow. A field that it does not know is passed over. The error names the
// field that is not right. What most entries have it reads without an
// allocation, so that long listings stream.
func Read(b []byte, f *host.Flow) error {
	if readQuick(b, f) {
		return nil
	}
	return readAny(b, f)
}

// readAny reads fields in any order.
func readAny(b []byte, f *host.Flow) error {
	var o object
	if err := json.Unmarshal(b, &o); err != nil {
		return fmt.Errorf("flow: %w", err)
	}
	*f = host.Flow{Zone: o.Zone, Mark: o.Mark}
	for _, part := range [...]func(*object, *host.Flow) error{readTuples, readState, readStatus, readTimes, readOptional} {
		if err := part(&o, f); err != nil {
			return fmt.Errorf("flow: %w", err)
		}
	}
	return nil
}

func readTuples(o *object, f *host.Flow) error {
	switch {
	case o.Protonum == nil:
		return errors.New("no protonum")
	case o.Original == nil:
		return errors.New("no original tuple")
	case o.Reply == nil:
		return errors.New("no reply tuple")
	}
	var err error
	if f.Original, err = o.Original.read(*o.Protonum); err != nil {
		return fmt.Errorf("original tuple: %w", err)
	}
	if f.Reply, err = o.Reply.read(*o.Protonum); err != nil {
		return fmt.Errorf("reply tuple: %w", err)
	}
	if f.Original.Src.Is4() != f.Reply.Src.Is4() {
		return errors.New("tuples of two families")
	}
	f.Family = rules.FamilyIPv4
	if f.Original.Src.Is6() {
		f.Family = rules.FamilyIPv6
	}
	if o.Family != FamilyWord(f.Family) {
		return fmt.Errorf("family %q, but the addresses are %s", o.Family, FamilyWord(f.Family))
	}
	if o.Master != nil {
		f.Has |= host.HasMaster
		proto := o.Master.Protonum
		if proto == nil {
			proto = o.Protonum
		}
		if f.Master, err = o.Master.read(*proto); err != nil {
			return fmt.Errorf("master tuple: %w", err)
		}
	}
	return nil
}

func (t *tuple) read(proto uint8) (rules.Tuple, error) {
	out := rules.Tuple{Proto: proto}
	var err error
	if out.Src, err = readAddr(t.Src); err != nil {
		return out, fmt.Errorf("source: %w", err)
	}
	if out.Dst, err = readAddr(t.Dst); err != nil {
		return out, fmt.Errorf("destination: %w", err)
	}
	if out.Src.Is4() != out.Dst.Is4() {
		return out, errors.New("addresses of two families")
	}
	probe := host.Flow{Original: out}
	switch {
	case probe.IsICMP():
		if t.ICMP == nil {
			return out, errors.New("no icmp type, code and id")
		}
		out.SrcPort, out.DstPort = t.ICMP.ID, uint16(t.ICMP.Type)<<8|uint16(t.ICMP.Code)
	case probe.HasPorts():
		if t.Sport == nil || t.Dport == nil {
			return out, errors.New("no ports")
		}
		out.SrcPort, out.DstPort = *t.Sport, *t.Dport
	}
	return out, nil
}

// readAddr takes no zone: conntrack keeps none.
func readAddr(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, fmt.Errorf("bad address %q", s)
	}
	return a, nil
}

// readState: the number of a state is that of the protocol's tracker.
func readState(o *object, f *host.Flow) error {
	if o.State == "" && o.StateNum == nil {
		return nil
	}
	var names []string
	to, has := &f.L4State, host.HasSCTPState
	switch f.Original.Proto {
	case host.ProtoTCP:
		names, to, has = host.TCPStates[:], &f.TCPState, host.HasTCPState
	case host.ProtoSCTP:
		names = host.SCTPStates[:]
	case host.ProtoDCCP:
		has = host.HasDCCPState
	default:
		return fmt.Errorf("state of protocol %d, which has none", f.Original.Proto)
	}
	f.Has |= has
	if o.StateNum != nil {
		*to = *o.StateNum
		return nil
	}
	i := slices.Index(names, o.State)
	if i < 0 {
		return fmt.Errorf("unknown state %q", o.State)
	}
	*to = uint8(i)
	return nil
}

func readStatus(o *object, f *host.Flow) error {
	f.Status = host.Status(o.More)
	for _, name := range o.Status {
		i := slices.Index(statusBits, name)
		if i < 0 {
			return fmt.Errorf("unknown status %q", name)
		}
		f.Status |= 1 << i
	}
	return nil
}

func readTimes(o *object, f *host.Flow) error {
	for _, t := range [...]struct {
		name string
		text *string
		to   *int64
		has  host.Present
	}{{"start", o.Start, &f.Start, host.HasStart}, {"stop", o.Stop, &f.Stop, host.HasStop}} {
		if t.text == nil {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, *t.text)
		if err != nil || !time.Unix(0, at.UnixNano()).Equal(at) {
			return fmt.Errorf("%s: bad time %q", t.name, *t.text)
		}
		*t.to = at.UnixNano()
		f.Has |= t.has
	}
	return nil
}

func readOptional(o *object, f *host.Flow) error {
	switch o.ZoneOf {
	case "":
	case "original":
		f.Has |= host.HasZoneOrig
	case "reply":
		f.Has |= host.HasZoneReply
	default:
		return fmt.Errorf("zone_of %q: want original or reply", o.ZoneOf)
	}
	if o.Labels != nil {
		f.Has |= host.HasLabels
		if len(*o.Labels) != hex.EncodedLen(len(f.Labels)) {
			return fmt.Errorf("labels %q: want %d hexadecimal digits", *o.Labels, hex.EncodedLen(len(f.Labels)))
		}
		if _, err := hex.Decode(f.Labels[:], []byte(*o.Labels)); err != nil {
			return fmt.Errorf("labels: %w", err)
		}
	}
	if o.Counters != nil {
		f.Has |= host.HasCounters
		f.Orig, f.Repl = o.Counters.Original, o.Counters.Reply
	}
	if !o.NoMark {
		f.Has |= host.HasMark
	}
	take(f, host.HasID, o.ID, &f.ID)
	take(f, host.HasTimeout, o.Timeout, &f.Timeout)
	take(f, host.HasUse, o.Use, &f.Use)
	take(f, host.HasHelper, o.Helper, &f.Helper)
	take(f, host.HasSecctx, o.Secctx, &f.Secctx)
	take(f, host.HasTCPFlags, o.TCPFlags, &f.TCPFlags)
	take(f, host.HasTCPScale, o.TCPScale, &f.TCPScale)
	take(f, host.HasVTags, o.VTags, &f.VTags)
	take(f, host.HasDCCPRole, o.DCCPRole, &f.DCCPRole)
	take(f, host.HasDCCPSeq, o.DCCPSeq, &f.DCCPSeq)
	take(f, host.HasSeqAdj, o.SeqAdj, &f.SeqAdj)
	take(f, host.HasSynproxy, o.Synproxy, &f.Synproxy)
	return nil
}

func take[T any](f *host.Flow, has host.Present, from, to *T) {
	if from != nil {
		f.Has |= has
		*to = *from
	}
}
