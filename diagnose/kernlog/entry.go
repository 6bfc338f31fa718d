package kernlog

import (
	"bytes"
	"math"
)

// Forms that no line alone tells, or of more than a line a message. They stand
// behind forms in parser.met.
const (
	metText = 16 + iota
	metExport
	metJSON
	metDmesgJSON
	metJournal
	metVerbose
)

var otherForms = []string{"text alone", "journalctl -o export", "journalctl -o json", "dmesg --json", "journal file", "journalctl -o verbose"}

// transport is how a message came to journald.
type transport uint8

const (
	transportNone transport = iota // not said
	transportKernel
	transportDriver // journald's own
	transportOther
)

// entry is one entry of the journal, or one record of dmesg --json: of its
// fields those that count. It is reused for the next.
type entry struct {
	message    []byte // at most MaxLine
	hasMessage bool
	cut        bool
	transport  transport
	foreign    bool // the facility is not kern, or the identifier not kernel
	micros     []byte
	mono       []byte // microseconds of /dev/kmsg
	late       []byte // microseconds when journald had it
	seconds    []byte // dmesg's time
	full       []byte // the time of journalctl -o verbose
}

func (e *entry) reset() {
	*e = entry{message: e.message[:0], micros: e.micros[:0], mono: e.mono[:0], late: e.late[:0], seconds: e.seconds[:0], full: e.full[:0]}
}

// entryFields are the fields that are read.
var entryFields = map[string]func(e *entry, value []byte){
	"MESSAGE": func(e *entry, v []byte) {
		if !e.hasMessage {
			e.message, e.hasMessage = append(e.message[:0], v[:min(len(v), MaxLine)]...), true
			e.cut = e.cut || len(v) > MaxLine
		}
	},
	"_TRANSPORT": func(e *entry, v []byte) {
		switch string(v) {
		case "kernel":
			e.transport = transportKernel
		case "driver":
			e.transport = transportDriver
		default:
			e.transport = transportOther
		}
	},
	"SYSLOG_FACILITY":             func(e *entry, v []byte) { e.foreign = e.foreign || string(v) != "0" },
	"SYSLOG_IDENTIFIER":           func(e *entry, v []byte) { e.foreign = e.foreign || string(v) != "kernel" },
	"__REALTIME_TIMESTAMP":        func(e *entry, v []byte) { e.micros = keep(e.micros, v) },
	"_SOURCE_MONOTONIC_TIMESTAMP": func(e *entry, v []byte) { e.mono = keep(e.mono, v) },
	"__MONOTONIC_TIMESTAMP":       func(e *entry, v []byte) { e.late = keep(e.late, v) },

	"msg": func(e *entry, v []byte) {
		e.message, e.hasMessage = append(e.message[:0], v...), true
		e.transport = transportKernel
	},
	"time": func(e *entry, v []byte) { e.seconds = keep(e.seconds, v) },
	"fac":  func(e *entry, v []byte) { e.foreign = e.foreign || string(v) != "kern" },
}

// keep copies a number or a time.
func keep(dst, v []byte) []byte { return append(dst[:0], v[:min(len(v), 40)]...) }

// record makes the record of an entry, and says whose it is.
func (p *parser) record(e *entry, rec *Record) verdict {
	p.hasSeq, p.indented = false, false
	*rec = Record{Text: e.message, Cut: e.cut}
	if len(e.micros) > 0 {
		rec.stamp, rec.read = e.micros, p.clock.micros
	} else if len(e.full) > 0 {
		rec.stamp, rec.read = e.full, p.clock.full
	}
	if !e.hasMessage {
		return program
	}
	if e.transport == transportDriver {
		p.loss(e.message, program)
		return program
	}
	if e.transport == transportOther || e.foreign {
		return program
	}
	mono := e.mono
	if len(mono) == 0 {
		mono = e.late
	}
	if n, rest, ok := cutCount(mono); ok && len(rest) == 0 && n <= math.MaxInt64/1000 {
		rec.uptime, rec.hasUptime = n, true
	}
	if len(e.seconds) > 0 {
		p.dmesgTime(e, rec)
	}
	return lost(p, rec.Text, kernel)
}

// dmesgTime reads the time of dmesg --json, and mends the text: read from
// syslog(2) or a file it has all that follows, in util-linux to 2.38 at the
// least.
func (p *parser) dmesgTime(e *entry, rec *Record) {
	if i := bytes.Index(rec.Text, []byte("\n<")); i >= 0 && i+2 < len(rec.Text) && isDigits(rec.Text[i+2:i+3]) {
		rec.Text = rec.Text[:i]
		rec.Cut = false
	}
	rec.Text = bytes.TrimSuffix(rec.Text, []byte("\n"))
	switch in := bytes.TrimLeft(e.seconds, " "); {
	case isDecimal(in):
		rec.mono = in
	case isISO(in):
		rec.stamp, rec.read = in, p.clock.iso
	default:
		rec.stamp, rec.read = in, p.clock.ctime
	}
}
