package report

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
)

// InvalidEvents writes messages as they come, one a line.
type InvalidEvents struct {
	w      *bufio.Writer
	kernel host.Release
}

// NewInvalidEvents begins; kernel is that of the messages.
func NewInvalidEvents(w io.Writer, kernel host.Release) *InvalidEvents {
	return &InvalidEvents{bufio.NewWriterSize(w, 64<<10), kernel}
}

// Add writes one message.
func (e *InvalidEvents) Add(m *invalid.Message, n uint64) error {
	reason := "unknown"
	if m.Reason != nil {
		reason = m.Reason.Name
	}
	rec := struct {
		Record   string         `json:"record"`
		At       *time.Time     `json:"at,omitempty"`
		Reason   string         `json:"reason"`
		Text     string         `json:"text"`
		Count    uint64         `json:"count"`
		Counter  string         `json:"counter"`
		Accepted bool           `json:"accepted"`
		Again    bool           `json:"again,omitempty"`
		Packet   *InvalidPacket `json:"packet"`
		In       string         `json:"in,omitempty"`
		Out      string         `json:"out,omitempty"`
		PhysIn   string         `json:"phys_in,omitempty"`
		MAC      string         `json:"mac,omitempty"`
	}{Record: "message", At: stamp(m.At), Reason: reason, Text: string(m.Text), Count: n, Counter: "none", Accepted: m.Accepted(e.kernel),
		In: string(m.In), Out: string(m.Out), PhysIn: string(m.PhysIn)}
	if m.Reason != nil {
		rec.Again = m.Reason.Again
	}
	if moved := m.Moved(e.kernel); len(moved) > 0 && !rec.Again {
		rec.Counter = moved[0]
	}
	if m.Packet.Family != 0 {
		var quoted *invalid.Packet
		if m.HasInner {
			quoted = &m.Inner
		}
		p := newInvalidPacket(&m.Packet, quoted)
		rec.Packet = &p
	}
	if m.HasMAC {
		rec.MAC = macText(m.SrcMAC)
	}
	return encode(e.w, rec, "")
}

// Flush hands on what was written.
func (e *InvalidEvents) Flush() error { return e.w.Flush() }

// InvalidNow is a Tally while it grows, as a screen shows it.
type InvalidNow struct {
	before map[*invalid.Group]uint64
	rates  map[*invalid.Group]float64
	at     time.Time
	began  time.Time
}

// NewInvalidNow begins at a time.
func NewInvalidNow(now time.Time) *InvalidNow {
	return &InvalidNow{before: map[*invalid.Group]uint64{}, rates: map[*invalid.Group]float64{}, at: now, began: now}
}

// shortestRate is over how many seconds a rate is told at least.
const shortestRate = 0.5

// Text is the reasons with their rates since the last call, and the flows with
// most packets.
func (n *InvalidNow) Text(t *invalid.Tally, source string, lost uint64, now time.Time, s Style) string {
	var b strings.Builder
	seconds := now.Sub(n.at).Seconds()
	again := seconds < shortestRate // the last look, just behind another
	if !again {
		n.at = now
	}
	fmt.Fprintf(&b, "%s of %s in %s", counted(int(t.Messages), "message", "messages"), safe(source), now.Sub(n.began).Round(time.Second))
	if lost > 0 {
		b.WriteString(", " + s.paint(yellow, thousands(int(lost))+" lost"))
	}
	b.WriteString("; ^C ends it\n\n")
	fmt.Fprintf(&b, "  %9s %9s  %s\n", "PER S", "COUNT", "REASON")
	groups := t.Groups()
	var top []*invalid.Flow
	for i, g := range groups {
		if !again {
			n.rates[g] = float64(g.Count-n.before[g]) / seconds
			n.before[g] = g.Count
		}
		rate := n.rates[g]
		if i < maxInvalidRows {
			row := fmt.Sprintf("  %9.1f %9s  %s %s", rate, thousands(int(g.Count)), safe(groupProto(g)), reasonName(g))
			if g.Reason == nil {
				row += ": " + safe(g.Text)
			}
			if rate > 0 {
				row = s.paint(bold, row)
			}
			b.WriteString(row + "\n")
		}
	}
	top = invalid.Top(groups, maxInvalidRows, func(*invalid.Group) bool { return true })
	if len(top) > 0 {
		fmt.Fprintf(&b, "\n  %9s  %s\n", "PACKETS", "FLOW")
	}
	for _, f := range top {
		text := safe(f.Packet.String())
		if f.In != "" {
			text += " in by " + safe(f.In)
		}
		fmt.Fprintf(&b, "  %9s  %s\n", thousands(int(f.Count)), text)
	}
	return b.String()
}
