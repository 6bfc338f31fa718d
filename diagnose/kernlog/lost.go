package kernlog

import "bytes"

// A loss is a message that says that others are not in the log.
type loss struct {
	by     verdict // who writes it
	before string
	after  string // a number is between before and after; "" where there is none
}

var losses = []loss{
	// systemd-journald, of gaps in /dev/kmsg (dev_kmsg_record, journald-kmsg.c)
	{program, "Missed ", " kernel messages"},
	{program, "/dev/kmsg buffer overrun, some messages lost", ""},
	// rsyslog, reading from the journal
	{program, "imjournal: ", " messages lost due to rate-limiting"},
	// the console's printk (kernel/printk/printk.c)
	{kernel, "** ", " printk messages dropped **"},
}

// lost looks for a loss in a text of who, which it returns.
func lost(p *parser, text []byte, who verdict) verdict {
	if who == kernel {
		if len(text) > 2 && text[0] == '*' && text[1] == '*' {
			p.loss(text, who)
		}
		return who
	}
	// behind the tag
	if len(text) > 9 && (text[0] == 's' || text[0] == 'r') {
		if i := bytes.Index(text[:min(len(text), 40)], tagEnd); i > 0 && (bytes.HasPrefix(text, []byte("systemd-journald")) || bytes.HasPrefix(text, []byte("rsyslogd"))) {
			p.loss(text[i+len(tagEnd):], who)
		}
	}
	return who
}

var tagEnd = []byte(": ")

// loss counts what a text says was lost.
func (p *parser) loss(text []byte, who verdict) {
	for _, l := range losses {
		rest, ok := bytes.CutPrefix(text, []byte(l.before))
		if !ok || l.by != who {
			continue
		}
		if l.after == "" {
			p.gaps++
			return
		}
		if n, rest, ok := cutCount(rest); ok && bytes.HasPrefix(rest, []byte(l.after)) {
			p.lost += n
			return
		}
	}
}

// cutCount takes digits off b; false where there are none or too many.
func cutCount(b []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(b) && '0' <= b[i] && b[i] <= '9'; i++ {
		if i == 18 {
			return 0, nil, false
		}
		n = n*10 + uint64(b[i]-'0')
	}
	return n, b[i:], i > 0
}

var (
	messageRepeated = []byte("message repeated ")
	lastRepeated    = []byte("last message repeated ")
)

// message is a text of the kernel's in a form where one is written once for
// several that are the same: rsyslog writes "message repeated 3 times: [text]".
func (p *parser) message(b []byte, rec *Record) verdict {
	if len(b) > 0 && b[0] == 'm' && bytes.HasPrefix(b, messageRepeated) {
		n, rest, ok := cutCount(b[len(messageRepeated):])
		rest, times := bytes.CutPrefix(rest, []byte(" times: ["))
		if ok && times && bytes.HasSuffix(rest, []byte("]")) && n > 0 && n <= maxRepeats {
			rec.Repeats = uint32(n)
			p.repeated += n
			b = skipBlank(rest[:len(rest)-1])
		}
	}
	p.body(b, rec)
	p.last = append(p.last[:0], rec.Text...)
	return lost(p, rec.Text, kernel)
}

// maxRepeats is more than any log writes: the number of a text that lies.
const maxRepeats = 1 << 31

// again is "last message repeated 3 times", of sysklogd, syslog-ng and busybox:
// the last message's text again, when that was the kernel's.
func (p *parser) again(b []byte, rec *Record) verdict {
	n, rest, ok := cutCount(b)
	if !ok || n == 0 || n > maxRepeats || !bytes.HasPrefix(rest, []byte(" time")) {
		return program
	}
	if p.after != kernel || len(p.last) == 0 {
		return program
	}
	p.repeated += n
	rec.Text, rec.Repeats = p.last, uint32(n)
	return kernel
}
