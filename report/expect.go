package report

import (
	"strconv"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules"
)

// Ends are a tuple of an expectation; what may be anything is absent.
type Ends struct {
	Src   string  `json:"src,omitempty"`
	Dst   string  `json:"dst,omitempty"`
	Sport *uint16 `json:"sport,omitempty"`
	Dport *uint16 `json:"dport,omitempty"`
}

// Expectation is an expected connection as events show it.
type Expectation struct {
	Found    bool `json:"found,omitempty"`
	Expected struct {
		ID       uint32   `json:"id"`
		Family   string   `json:"family"`
		Proto    string   `json:"proto"`
		Protonum uint8    `json:"protonum"`
		Tuple    Ends     `json:"tuple"`
		Mask     Ends     `json:"mask"`
		Master   Ends     `json:"master"`
		Zone     uint16   `json:"zone"`
		TimeoutS uint32   `json:"timeout_s"`
		Helper   string   `json:"helper,omitempty"`
		Class    uint32   `json:"class"`
		Flags    []string `json:"flags"`
		Function string   `json:"function,omitempty"`
		NAT      *Ends    `json:"nat,omitempty"`
	} `json:"expectation"`
}

func endsOf(t rules.Tuple) Ends {
	out := Ends{Src: t.Src.String(), Dst: t.Dst.String()}
	if f := (host.Flow{Original: t}); f.HasPorts() {
		out.Sport, out.Dport = &t.SrcPort, &t.DstPort
	}
	return out
}

func newExpectation(e *Event) Expectation {
	x := e.Expect
	out := Expectation{Found: e.Found}
	v := &out.Expected
	v.ID, v.Family, v.Zone, v.TimeoutS = x.ID, flowjson.FamilyWord(x.Family), x.Zone, x.Timeout
	v.Proto, v.Protonum = query.ProtoName(x.Tuple.Proto), x.Tuple.Proto
	v.Helper, v.Class, v.Flags, v.Function = x.Helper, x.Class, x.FlagNames(), x.Function
	v.Tuple, v.Master = endsOf(x.Tuple), endsOf(x.Master)
	if x.AnySource() {
		v.Tuple.Src = ""
	}
	if x.AnyPort() {
		v.Tuple.Sport = nil
	}
	// only the source is masked
	v.Mask = Ends{Src: x.Mask.Src.String(), Sport: &x.Mask.SrcPort}
	if x.NAT {
		nat := Ends{Sport: &x.NATTuple.SrcPort}
		if a := x.NATTuple.Src; a.IsValid() && !a.IsUnspecified() {
			nat.Src = a.String()
		}
		v.NAT = &nat
	}
	return out
}

// expectCells are an expectation in the columns of the table.
func expectCells(x *capture.Expectation) [4]string {
	src := x.Tuple
	source := srcText(src)
	switch {
	case x.AnySource() && x.AnyPort():
		source = "any"
	case x.AnyPort():
		source = src.Src.String()
	case x.AnySource():
		source = "any:" + strconv.Itoa(int(src.SrcPort))
	}
	return [4]string{query.ProtoName(x.Tuple.Proto), source, dstText(x.Tuple), "expected"}
}

// expectText is what else there is to say of it.
func expectText(e *Event) string {
	x := e.Expect
	text := ""
	if x.Helper != "" {
		text = "helper " + safe(x.Helper) + ", "
	}
	text += "master " + srcText(x.Master) + " → " + dstText(x.Master)
	if x.Timeout > 0 {
		text += ", timeout " + strconv.FormatUint(uint64(x.Timeout), 10) + "s"
	}
	if x.Zone != 0 {
		text += ", zone " + itoa(int(x.Zone))
	}
	if e.Found {
		text += ", found in the table"
	}
	return text
}
