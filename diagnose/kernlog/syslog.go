package kernlog

import "bytes"

var kernelTag = []byte("kernel:")

// syslogLine is what syslog writes by RFC 3164 and journalctl as short and
// short-precise: "Nov 27 14:00:01 fw1 kernel: [   12.3] text".
func syslogLine(p *parser, b []byte, rec *Record) verdict {
	if len(b) < 17 || b[3] != ' ' || b[6] != ' ' || !isClock(b[7:]) || monthOf(b) == 0 || !isDay(b[4], b[5]) {
		return notMine
	}
	end := 15
	if b[15] == '.' {
		for end++; end < len(b) && '0' <= b[end] && b[end] <= '9'; {
			end++
		}
	}
	if end >= len(b) || b[end] != ' ' {
		return notMine
	}
	*rec = Record{stamp: b[:end], read: p.clock.syslog}
	return p.tagged(b[end+1:], rec)
}

func isDay(tens, ones byte) bool {
	return (tens == ' ' || '0' <= tens && tens <= '3') && '0' <= ones && ones <= '9'
}

// isoLine is rsyslog's with an RFC 3339 time, journalctl -o short-iso, and dmesg
// --time-format iso, which has a comma before the fraction and no host.
func isoLine(p *parser, b []byte, rec *Record) verdict {
	if !isISO(b) {
		return notMine
	}
	end := 19
	comma := false
	for end < len(b) && b[end] != ' ' {
		comma = comma || b[end] == ','
		end++
	}
	if end == len(b) {
		return notMine
	}
	*rec = Record{stamp: b[:end], read: p.clock.iso}
	if comma {
		rec.Text = cutCaller(b[end+1:])
		p.hasSeq = false
		return lost(p, rec.Text, kernel)
	}
	if v := p.untagged(b[end+1:], rec); v != notMine {
		return v
	}
	return p.tagged(b[end+1:], rec)
}

// untagged reads a line whose time is followed by neither host nor tag, but the
// text: a word with a colon that no program's tag can be, as what puts a time
// before dmesg's lines writes it.
func (p *parser) untagged(b []byte, rec *Record) verdict {
	space := bytes.IndexByte(b, ' ')
	if space < 2 || b[space-1] != ':' || b[space-2] == ']' || bytes.HasPrefix(b, kernelTag) {
		return notMine
	}
	p.hasSeq = false
	return p.message(b, rec)
}

// isISO tells whether b begins with 2026-11-27T14:00:01, or a blank for the T.
func isISO(b []byte) bool {
	return len(b) >= 19 && b[4] == '-' && b[7] == '-' && (b[10] == 'T' || b[10] == ' ') && isDigits(b[:4]) && isDigits(b[5:7]) &&
		isDigits(b[8:10]) && isClock(b[11:])
}

// unixLine is journalctl -o short-unix: "1795788001.123456 fw1 kernel: text".
func unixLine(p *parser, b []byte, rec *Record) verdict {
	end := bytes.IndexByte(b[:min(len(b), 24)], ' ')
	if end < 10 || !isDecimal(b[:end]) {
		return notMine
	}
	*rec = Record{stamp: b[:end], read: p.clock.unix}
	return p.tagged(b[end+1:], rec)
}

// fullLine is journalctl -o short-full: "Fri 2026-11-27 14:00:01 UTC fw1 kernel:
// text". The name of the day is of the locale. -o verbose has the cursor in place
// of the host, and then the fields.
func fullLine(p *parser, b []byte, rec *Record) verdict {
	day := bytes.IndexByte(b[:min(len(b), 12)], ' ')
	if day < 2 || !isISO(b[day+1:]) || b[day+11] != ' ' {
		return notMine
	}
	end := day + 20
	for end < len(b) && b[end] != ' ' { // a fraction
		end++
	}
	zone := bytes.IndexByte(b[min(end+1, len(b)):], ' ')
	if zone <= 0 {
		return notMine
	}
	end += 1 + zone
	*rec = Record{stamp: b[day+1 : end], read: p.clock.full}
	if bytes.HasPrefix(b[end+1:], []byte("[s=")) {
		return verbose
	}
	return p.tagged(b[end+1:], rec)
}

// logreadLine is OpenWrt's logread: "Fri Nov 27 14:00:01 2026 kern.notice
// kernel: [   12.3] text".
func logreadLine(p *parser, b []byte, rec *Record) verdict {
	if len(b) < 26 || b[3] != ' ' || b[7] != ' ' || b[10] != ' ' || b[24] != ' ' || !isClock(b[11:]) || !isDigits(b[20:24]) || monthOf(b[4:]) == 0 {
		return notMine
	}
	*rec = Record{stamp: b[:24], read: p.clock.ctime}
	return p.tagged(b[25:], rec)
}

// priorityLine is syslog with its priority before it, as on the wire: "<5>Nov 27
// 14:00:01 fw1 kernel: text".
func priorityLine(p *parser, b []byte, rec *Record) verdict {
	_, rest, ok := cutPriority(b)
	if !ok || len(rest) == 0 {
		return notMine
	}
	if v := syslogLine(p, rest, rec); v != notMine {
		return v
	}
	if rest[0] >= '0' && rest[0] <= '9' {
		return isoLine(p, rest, rec)
	}
	return notMine
}

// rfc5424Line is "<5>1 2026-11-27T14:00:01.123456Z fw1 kernel - - - text".
func rfc5424Line(p *parser, b []byte, rec *Record) verdict {
	pri, rest, ok := cutPriority(b)
	if !ok || len(rest) < 2 || rest[0] != '1' || rest[1] != ' ' {
		return notMine
	}
	rest = rest[2:]
	var field [5][]byte // time, host, program, process, message's name
	for i := range field {
		end := bytes.IndexByte(rest, ' ')
		if end <= 0 {
			return notMine
		}
		field[i], rest = rest[:end], rest[end+1:]
	}
	if string(field[0]) != "-" && !isISO(field[0]) {
		return notMine
	}
	rest, ok = cutStructured(rest)
	if !ok {
		return notMine
	}
	*rec = Record{stamp: field[0], read: p.clock.iso}
	rest = skipBlank(rest) // rsyslog keeps the blank that RFC 3164 has behind the tag
	switch name := string(field[2]); {
	case pri>>3 == 0 && name == "kernel":
		return p.message(rest, rec)
	case name == "systemd-journald" || name == "rsyslogd":
		p.loss(rest, program)
	}
	return program
}

// cutStructured takes the structured data of RFC 5424 off: "-", or elements in
// brackets whose values are in quotes.
func cutStructured(b []byte) ([]byte, bool) {
	if len(b) > 0 && b[0] == '-' {
		return bytes.TrimPrefix(skipBlank(b[1:]), utf8BOM), true
	}
	i, quoted := 0, false
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c == '\\' && quoted:
			i++
		case c == '"':
			quoted = !quoted
		case c == ']' && !quoted:
			if i+1 == len(b) || b[i+1] != '[' {
				return bytes.TrimPrefix(skipBlank(b[i+1:]), utf8BOM), true
			}
		case i == 0 && c != '[':
			return nil, false
		}
	}
	return nil, false
}

// markLine is what journalctl prints between boots: "-- Boot 5c1a… --".
func markLine(p *parser, b []byte, _ *Record) verdict {
	if !bytes.HasPrefix(b, []byte("-- ")) || !bytes.HasSuffix(b, []byte(" --")) {
		return notMine
	}
	p.hasSeq = false
	return nothing
}

// tagged reads what is behind the time: host and tag, "fw1 kernel: text". Busybox
// puts the priority before the tag, logread has no host.
func (p *parser) tagged(b []byte, rec *Record) verdict {
	p.hasSeq = false
	if bytes.HasPrefix(b, kernelTag) {
		return p.message(skipBlank(b[len(kernelTag):]), rec)
	}
	space := bytes.IndexByte(b, ' ')
	if space <= 0 {
		return program
	}
	word, rest := b[:space], b[space+1:]
	if word[space-1] == ':' { // a program's tag
		return lost(p, b, program)
	}
	if v := p.afterHost(rest, rec); v != notMine {
		return v
	}
	if rest, ok := bytes.CutPrefix(b, lastRepeated); ok {
		return p.again(rest, rec)
	}
	if isPriority(word) {
		if v := p.afterHost(b, rec); v != notMine {
			return v
		}
	}
	return lost(p, rest, program)
}

// afterHost reads "kernel: text", "kern.notice kernel: text" and "last message
// repeated 3 times".
func (p *parser) afterHost(b []byte, rec *Record) verdict {
	if len(b) < len(kernelTag) || b[0] != 'k' && b[0] != 'l' {
		return notMine
	}
	if bytes.HasPrefix(b, kernelTag) {
		return p.message(skipBlank(b[len(kernelTag):]), rec)
	}
	if rest, ok := bytes.CutPrefix(b, lastRepeated); ok {
		return p.again(rest, rec)
	}
	space := bytes.IndexByte(b, ' ')
	if space > 0 && isPriority(b[:space]) && bytes.HasPrefix(b, []byte("kern.")) && bytes.HasPrefix(b[space+1:], kernelTag) {
		return p.message(skipBlank(b[space+1+len(kernelTag):]), rec)
	}
	return notMine
}

// isPriority tells whether b is "kern.notice".
func isPriority(b []byte) bool {
	dot := bytes.IndexByte(b, '.')
	return dot > 0 && isFacility(b[:dot])
}
