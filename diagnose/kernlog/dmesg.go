package kernlog

import "bytes"

// kmsgLine is a record of /dev/kmsg in a file.
func kmsgLine(p *parser, b []byte, rec *Record) verdict {
	// "5,1,0,-;" at the least; a date or a number has no comma in its first four bytes
	if len(b) < 8 || bytes.IndexByte(b[:4], ',') < 0 || ParseKmsg(b, rec) != nil {
		return notMine
	}
	p.number(rec.Seq)
	return ours(rec.Foreign)
}

func ours(foreign bool) verdict {
	if foreign {
		return program
	}
	return kernel
}

// dmesgLine is what dmesg prints, with any of its times, and journalctl -o
// short-monotonic, which has host and tag behind the time.
func dmesgLine(p *parser, b []byte, rec *Record) verdict {
	s, rest := bracket(b)
	if s.kind == bracketNone {
		return notMine
	}
	*rec = Record{}
	if s.kind == bracketUptime {
		rec.mono = s.text
		if v := p.monotonic(rest, rec); v != notMine {
			return v
		}
	} else if s.kind == bracketCtime {
		rec.stamp, rec.read = s.text, p.clock.ctime
	}
	rec.Text = cutCaller(rest)
	p.hasSeq = false
	return lost(p, rec.Text, kernel)
}

// monotonic reads "fw1 kernel: text" behind a time since boot. A line of a
// program is known as such by the host, once a line of the kernel's had it.
func (p *parser) monotonic(b []byte, rec *Record) verdict {
	space := bytes.IndexByte(b, ' ')
	if space <= 0 || b[space-1] == ':' {
		return notMine
	}
	if bytes.HasPrefix(b[space+1:], kernelTag) {
		if !bytes.Equal(p.host, b[:space]) {
			p.host = append(p.host[:0], b[:space]...)
		}
		rec.Text = skipBlank(b[space+1+len(kernelTag):])
		return lost(p, rec.Text, kernel)
	}
	if len(p.host) > 0 && bytes.Equal(p.host, b[:space]) {
		return lost(p, b[space+1:], program)
	}
	return notMine
}

// rawLine is what dmesg -r and /proc/kmsg give: "<5>[  994.671234] text".
func rawLine(p *parser, b []byte, rec *Record) verdict {
	pri, rest, ok := cutPriority(b)
	if !ok || len(rest) == 0 || rest[0] != '[' {
		return notMine
	}
	v := dmesgLine(p, rest, rec)
	if v == kernel && pri>>3 != 0 {
		return program
	}
	return v
}

// cutPriority takes "<5>" off.
func cutPriority(b []byte) (pri int, rest []byte, ok bool) {
	for i := 1; i < len(b) && i < 5; i++ {
		switch c := b[i]; {
		case c == '>' && i > 1:
			return pri, b[i+1:], true
		case c < '0' || c > '9':
			return 0, nil, false
		default:
			pri = pri*10 + int(c-'0')
		}
	}
	return 0, nil, false
}

// facilities are the names that dmesg -x and busybox print.
var facilities = []string{
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
	"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
}

// isFacility tells whether b names one.
func isFacility(b []byte) bool {
	for _, f := range facilities {
		if string(b) == f {
			return true
		}
	}
	return false
}

// decodedLine is dmesg -x: "kern  :notice: [  994.671234] text", padded with
// blanks.
func decodedLine(p *parser, b []byte, rec *Record) verdict {
	if len(b) < 15 {
		return notMine
	}
	colon := bytes.IndexByte(b[:9], ':')
	if colon < 4 || !isFacility(bytes.TrimRight(b[:colon], " ")) {
		return notMine
	}
	rest := b[colon+1:]
	end := bytes.IndexByte(rest[:min(len(rest), 9)], ':')
	if end < 3 || len(rest) < end+2 || rest[end+1] != ' ' {
		return notMine
	}
	foreign := !bytes.HasPrefix(b, []byte("kern"))
	rest = rest[end+2:]
	v := notMine
	if len(rest) > 0 {
		switch rest[0] {
		case '[':
			v = dmesgLine(p, rest, rec)
		case '1', '2':
			v = isoLine(p, rest, rec)
		}
	}
	if v == notMine { // dmesg -x -t
		*rec = Record{Text: rest}
		v = lost(p, rest, kernel)
	}
	if v == kernel && foreign {
		return program
	}
	return v
}

type bracketKind uint8

const (
	bracketNone   bracketKind = iota
	bracketUptime             // [  994.671234]
	bracketCtime              // [Fri Nov 27 14:00:01 2026], dmesg -T
	bracketOther              // [Nov27 14:00], [  +0.000012]: dmesg -e
)

type bracketStamp struct {
	kind bracketKind
	text []byte
}

// bracket takes a time in brackets and the blank behind it off b. What dmesg -d
// adds, " <    0.000012>", is left out.
func bracket(b []byte) (bracketStamp, []byte) {
	end := bytes.IndexByte(b[:min(len(b), 64)], ']')
	if end < 2 {
		return bracketStamp{}, nil
	}
	in, rest := b[1:end], b[end+1:]
	if len(rest) > 0 {
		if rest[0] != ' ' && rest[0] != '[' {
			return bracketStamp{}, nil
		}
		rest = skipBlank(rest)
	}
	if in[len(in)-1] == '>' {
		if i := bytes.LastIndexByte(in, '<'); i > 0 {
			in = bytes.TrimRight(in[:i], " ")
		}
	}
	return bracketStamp{kindOf(in), in}, rest
}

// kindOf tells which time is in brackets.
func kindOf(in []byte) bracketKind {
	i := 0
	for i < len(in) && in[i] == ' ' {
		i++
	}
	in = in[i:]
	if len(in) == 0 {
		return bracketNone
	}
	switch c := in[0]; {
	case '0' <= c && c <= '9':
		if isDecimal(in) {
			return bracketUptime
		}
	case c == '+':
		if isDecimal(in[1:]) {
			return bracketOther
		}
	default: // the names of days and months are of the locale
		if n := len(in); n >= 15 && isClock(in[n-13:]) && in[n-5] == ' ' && isDigits(in[n-4:]) {
			return bracketCtime
		}
		if n := len(in); n >= 9 && in[n-3] == ':' && in[n-6] == ' ' && isDigits(in[n-8:n-6]) && isDigits(in[n-5:n-3]) && isDigits(in[n-2:]) {
			return bracketOther
		}
	}
	return bracketNone
}

// isDecimal tells whether b is digits, a point, digits.
func isDecimal(b []byte) bool {
	point := -1
	for i, c := range b {
		if c == '.' && point < 0 && i > 0 {
			point = i
		} else if c < '0' || c > '9' {
			return false
		}
	}
	return point > 0 && point < len(b)-1
}

func isDigits(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// isClock tells whether b begins with 14:00:01.
func isClock(b []byte) bool {
	return len(b) >= 8 && b[2] == ':' && b[5] == ':' && isDigits(b[:2]) && isDigits(b[3:5]) && isDigits(b[6:8])
}

func skipBlank(b []byte) []byte {
	if len(b) > 0 && b[0] == ' ' {
		return b[1:]
	}
	return b
}

// cutCaller takes off who called printk, with CONFIG_PRINTK_CALLER: "[    T12]
// ", "[    C0] ".
func cutCaller(b []byte) []byte {
	if len(b) < 4 || b[0] != '[' {
		return b
	}
	end := bytes.IndexByte(b[:min(len(b), 12)], ']')
	if end < 3 {
		return b
	}
	in := bytes.TrimLeft(b[1:end], " ")
	if len(in) < 2 || in[0] != 'T' && in[0] != 'C' || !isDigits(in[1:]) {
		return b
	}
	return skipBlank(b[end+1:])
}
