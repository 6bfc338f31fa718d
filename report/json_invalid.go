package report

import "io"

func invalidJSON(w io.Writer, d *Invalid, _ Style) error { return encode(w, d, "  ") }

// invalidJSONL is one message a line, by reason, then what becomes of the
// packets, the causes and the counters.
func invalidJSONL(w io.Writer, d *Invalid, _ Style) error {
	for i := range d.Messages {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidMessage
		}{"reason", &d.Messages[i]}, ""); err != nil {
			return err
		}
	}
	if d.Absent != nil {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidAbsent
		}{"absent", d.Absent}, ""); err != nil {
			return err
		}
	}
	for i := range d.Verdict.Fates {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidFate
		}{"fate", &d.Verdict.Fates[i]}, ""); err != nil {
			return err
		}
	}
	for i := range d.Verdict.Causes {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidCause
		}{"cause", &d.Verdict.Causes[i]}, ""); err != nil {
			return err
		}
	}
	for i := range d.Counters {
		if err := encode(w, struct {
			Record string `json:"record"`
			*InvalidCounter
		}{"counter", &d.Counters[i]}, ""); err != nil {
			return err
		}
	}
	return nil
}
