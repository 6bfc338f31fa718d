package report

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/watch"
)

// Event is what a watch tells, with what made the rewrites of its flow.
type Event struct {
	*capture.Event
	Rewrites []watch.Rewrite[Rule]
}

// EventWriter writes events while they come.
type EventWriter interface {
	// Add takes one event, which may be used again after the call.
	Add(*Event) error
	// Flush hands on what was added.
	Flush() error
}

// eventFormats are those that have no end.
var eventFormats = map[string]func(io.Writer, Style) EventWriter{
	"table": newEventTable, "wide": newEventTable, "jsonl": newEventJSONL,
}

// Events begins a listing of events in format f.
func (f Format) Events(w io.Writer, s Style) (EventWriter, error) {
	begin, ok := eventFormats[f.Name]
	if !ok {
		return nil, fmt.Errorf("-o %s is one document, and events have no end: use -o jsonl", f.Name)
	}
	return begin(w, s), nil
}

// eventJSONL is one event a line.
type eventJSONL struct {
	w     *bufio.Writer
	b     []byte
	rules map[*Rule][]byte
}

// maxRules bounds the rules whose text is kept.
const maxRules = 1 << 14

func newEventJSONL(w io.Writer, _ Style) EventWriter {
	return &eventJSONL{w: bufio.NewWriterSize(w, 64<<10), rules: map[*Rule][]byte{}}
}

func (j *eventJSONL) Flush() error { return j.w.Flush() }

func (j *eventJSONL) Add(e *Event) error {
	b := append(append(j.b[:0], `{"event":"`...), e.Kind.String()...)
	b = append(b, `","at":"`...)
	b = e.At.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	var err error
	switch more := eventRecords[e.Kind]; {
	case more != nil:
		tail, failed := json.Marshal(more(e))
		b, err = append(append(b, ','), tail[1:]...), failed
	case e.Expect != nil:
		tail, failed := json.Marshal(newExpectation(e))
		b, err = append(append(b, ','), tail[1:]...), failed
	default:
		b, err = j.flow(b, e)
		b = append(b, '}')
	}
	if err != nil {
		return fmt.Errorf("event: %w", err)
	}
	j.b = append(b, '\n')
	_, err = j.w.Write(j.b)
	return err
}

// eventRecords are the kinds that are not of a flow, and what stands in them.
var eventRecords = map[capture.EventKind]func(*Event) any{
	capture.EventStart: func(e *Event) any {
		return struct {
			Entries int    `json:"entries"`
			Setting string `json:"nf_conntrack_events,omitempty"`
			Buffer  int    `json:"receive_buffer"`
		}{e.Start.Before, e.Start.Setting.Value, e.Start.Buffer}
	},
	capture.EventLost: func(e *Event) any {
		return struct {
			Lost uint64    `json:"lost,omitempty"`
			From time.Time `json:"from"`
			To   time.Time `json:"to"`
			Why  string    `json:"why"`
		}{e.Lost.Events, e.Lost.From.UTC(), e.Lost.To.UTC(), e.Lost.Why}
	},
	capture.EventResync: func(e *Event) any {
		r := &e.Resync
		return struct {
			First     bool    `json:"first,omitempty"`
			Entries   int     `json:"entries"`
			New       int     `json:"new"`
			Changed   int     `json:"changed"`
			Gone      int     `json:"gone"`
			Unsure    int     `json:"unsure,omitempty"`
			Forgotten int     `json:"forgotten,omitempty"`
			Unread    int     `json:"unread,omitempty"`
			TookS     float64 `json:"took_s"`
		}{r.First, r.Entries, r.New, r.Changed, r.Gone, r.Unsure, r.Forgotten, r.Unparsed, r.Took.Seconds()}
	},
}

func (j *eventJSONL) flow(b []byte, e *Event) ([]byte, error) {
	if e.Found {
		b = append(b, `,"found":true`...)
	}
	b = flowjson.Append(append(b, `,"flow":`...), &e.Flow)
	b = append(b, `,"rewrites":[`...)
	for i := range e.Rewrites {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = j.rewrite(b, &e.Flow, &e.Rewrites[i]); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func (j *eventJSONL) rewrite(b []byte, f *host.Flow, r *watch.Rewrite[Rule]) ([]byte, error) {
	b = append(append(b, `{"kind":"`...), r.Manip.String()...)
	b = appendEndpoint(append(b, `","from":`...), f, r.From)
	b = appendEndpoint(append(b, `,"to":`...), f, r.To)
	b = append(append(b, `,"cause":"`...), r.Cause...)
	b = append(append(b, `","grade":"`...), r.Grade...)
	b = append(b, `","rules":[`...)
	for i, rule := range r.Rules {
		if i > 0 {
			b = append(b, ',')
		}
		text, err := j.rule(rule)
		if err != nil {
			return b, err
		}
		b = append(b, text...)
	}
	b = append(b, ']')
	if len(r.Unknown) > 0 {
		text, err := json.Marshal(r.Unknown)
		if err != nil {
			return b, err
		}
		b = append(append(b, `,"unknown":`...), text...)
	}
	return append(b, '}'), nil
}

func appendEndpoint(b []byte, f *host.Flow, e host.Endpoint) []byte {
	b = append(e.Addr.AppendTo(append(b, `{"addr":"`...)), '"')
	if f.HasPorts() || f.IsICMP() {
		b = strconv.AppendUint(append(b, `,"port":`...), uint64(e.Port), 10)
	}
	return append(b, '}')
}

// rule is a rule as JSON, made once.
func (j *eventJSONL) rule(r *Rule) ([]byte, error) {
	if text := j.rules[r]; text != nil {
		return text, nil
	}
	if len(j.rules) >= maxRules {
		clear(j.rules)
	}
	text, err := json.Marshal(r)
	j.rules[r] = text
	return text, err
}
