package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

func encode(w io.Writer, v any, indent string) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", indent)
	return e.Encode(v)
}

func explainJSON(w io.Writer, d *Explain, _ Style) error { return encode(w, d, "  ") }

// rulesJSON writes row by row: the rows are most of the document.
func rulesJSON(w io.Writer, d *Rules, _ Style) error {
	frame := *d
	frame.Rules = []RuleRow{}
	var b bytes.Buffer
	if err := encode(&b, &frame, "  "); err != nil {
		return err
	}
	if len(d.Rules) == 0 {
		_, err := w.Write(b.Bytes())
		return err
	}
	const list = "\n  \"rules\": ["
	at := bytes.Index(b.Bytes(), []byte(list+"]")) + len(list)
	out := bufio.NewWriterSize(w, 64<<10)
	out.Write(b.Bytes()[:at])
	tail := bytes.Clone(b.Bytes()[at:])
	b.Reset()
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("    ", "  ")
	lead := "\n    "
	for i := range d.Rules {
		b.Reset()
		row := d.Rules[i].told()
		if err := e.Encode(&row); err != nil {
			return err
		}
		out.WriteString(lead)
		out.Write(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
		lead = ",\n    "
	}
	out.WriteString("\n  ")
	out.Write(tail)
	return out.Flush()
}

func simulateJSON(w io.Writer, d *Simulate, _ Style) error { return encode(w, d, "  ") }

// simulateJSONL is one outcome a line.
func simulateJSONL(w io.Writer, d *Simulate, _ Style) error {
	for i := range d.Outcomes {
		if err := encode(w, &d.Outcomes[i], ""); err != nil {
			return err
		}
	}
	return nil
}

func explainJSONL(w io.Writer, d *Explain, _ Style) error {
	for i := range d.Flows {
		if err := encode(w, &d.Flows[i], ""); err != nil {
			return err
		}
	}
	return nil
}

func rulesJSONL(w io.Writer, d *Rules, _ Style) error {
	out := bufio.NewWriterSize(w, 64<<10)
	for i := range d.Rules {
		row := d.Rules[i].told()
		if err := encode(out, &row, ""); err != nil {
			return err
		}
	}
	return out.Flush()
}

// flowBlock is how much of a listing of flows is written at once.
const flowBlock = 64 << 10

// flowJSONL is one flow a line. The lines gather in one buffer, and go out when
// there are enough.
type flowJSONL struct {
	w io.Writer
	b []byte
}

func newFlowJSONL(w io.Writer, _ Style) FlowWriter { return &flowJSONL{w: w} }

func (j *flowJSONL) Add(f *host.Flow) error {
	j.b = append(flowjson.Append(j.b, f), '\n')
	return j.spill(flowBlock)
}

// spill writes what has gathered once it is n bytes.
func (j *flowJSONL) spill(n int) error {
	if len(j.b) < n {
		return nil
	}
	_, err := j.w.Write(j.b)
	j.b = j.b[:0]
	return err
}

func (j *flowJSONL) Close(FlowsEnd) error { return j.spill(1) }

// flowJSON is one document; the header is known when the last flow is read,
// so that it stands at the end.
type flowJSON struct {
	flowJSONL
	n int
}

func newFlowJSON(w io.Writer, _ Style) FlowWriter { return &flowJSON{flowJSONL: flowJSONL{w: w}} }

func (j *flowJSON) Add(f *host.Flow) error {
	if j.n == 0 {
		j.b = append(j.b, "{\"flows\":[\n"...)
	} else {
		j.b = append(j.b, ",\n"...)
	}
	j.n++
	j.b = flowjson.Append(j.b, f)
	return j.spill(flowBlock)
}

func (j *flowJSON) Close(end FlowsEnd) error {
	lead := "],\n"
	if j.n == 0 {
		lead = "{\"flows\":[],\n"
	}
	if err := j.spill(1); err != nil {
		return err
	}
	return writeTail(j.w, lead, struct {
		Header
		Matched int `json:"matched"`
		Checked int `json:"checked"`
	}{end.Header, end.Matched, end.Checked})
}

// writeTail ends a document whose list is written already with the fields of
// the object v.
func writeTail(w io.Writer, lead string, v any) error {
	tail, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, lead+string(tail[1:])+"\n")
	return err
}
