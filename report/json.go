package report

import (
	"bufio"
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
func rulesJSON(w io.Writer, d *Rules, _ Style) error     { return encode(w, d, "  ") }

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
	for i := range d.Rules {
		if err := encode(w, &d.Rules[i], ""); err != nil {
			return err
		}
	}
	return nil
}

// flowJSONL is one flow a line.
type flowJSONL struct {
	w *bufio.Writer
	b []byte
}

func newFlowJSONL(w io.Writer, _ Style) FlowWriter {
	return &flowJSONL{w: bufio.NewWriterSize(w, 64<<10)}
}

func (j *flowJSONL) Add(f *host.Flow) error {
	j.b = append(flowjson.Append(j.b[:0], f), '\n')
	_, err := j.w.Write(j.b)
	return err
}

func (j *flowJSONL) Close(FlowsEnd) error { return j.w.Flush() }

// flowJSON is one document; the header is known when the last flow is read,
// so that it stands at the end.
type flowJSON struct {
	flowJSONL
	n int
}

func newFlowJSON(w io.Writer, _ Style) FlowWriter {
	return &flowJSON{flowJSONL: flowJSONL{w: bufio.NewWriterSize(w, 64<<10)}}
}

func (j *flowJSON) Add(f *host.Flow) error {
	j.b = j.b[:0]
	if j.n == 0 {
		j.b = append(j.b, "{\"flows\":[\n"...)
	} else {
		j.b = append(j.b, ",\n"...)
	}
	j.n++
	j.b = flowjson.Append(j.b, f)
	_, err := j.w.Write(j.b)
	return err
}

func (j *flowJSON) Close(end FlowsEnd) error {
	lead := "],\n"
	if j.n == 0 {
		lead = "{\"flows\":[],\n"
	}
	err := writeTail(j.w, lead, struct {
		Header
		Matched int `json:"matched"`
		Checked int `json:"checked"`
	}{end.Header, end.Matched, end.Checked})
	if err != nil {
		return err
	}
	return j.w.Flush()
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
