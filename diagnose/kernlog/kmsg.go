package kernlog

import (
	"bytes"
	"errors"
	"math"
)

// Errors of ParseKmsg.
var (
	errKmsgNoText = errors.New("kmsg record: no text after ';'")
	errKmsgHead   = errors.New("kmsg record: not 'priority,sequence,microseconds,flags;'")
)

// ParseKmsg reads one record as /dev/kmsg gives it (devkmsg_read, and
// Documentation/ABI/testing/dev-kmsg):
//
//	priority,sequence,microseconds,flags[,…];text\n KEY=value\n…
//
// The text's \xNN are decoded in place: rec is changed, and r.Text points into
// it. Properties (KEY=value) are left out.
func ParseKmsg(rec []byte, r *Record) error {
	semi := bytes.IndexByte(rec, ';')
	if semi < 0 {
		return errKmsgNoText
	}
	head, text := rec[:semi], rec[semi+1:]
	pri, head, ok := cutNumber(head)
	if !ok {
		return errKmsgHead
	}
	seq, head, ok := cutNumber(head)
	if !ok {
		return errKmsgHead
	}
	usec, head, ok := cutNumber(head)
	if !ok || len(head) == 0 {
		return errKmsgHead
	}
	if end := bytes.IndexByte(text, '\n'); end >= 0 {
		text = text[:end]
	}
	*r = Record{
		Text: unescape(text), Seq: seq, HasSeq: true, Foreign: pri>>3 != 0, Continues: head[0] == '+',
		uptime: usec, hasUptime: usec <= math.MaxInt64/1000,
	}
	return nil
}

// cutNumber takes a decimal number and the comma behind it off b.
func cutNumber(b []byte) (n uint64, rest []byte, ok bool) {
	for i, c := range b {
		if c == ',' {
			return n, b[i+1:], i > 0
		}
		if c < '0' || c > '9' || n > (math.MaxUint64-9)/10 {
			break
		}
		n = n*10 + uint64(c-'0')
	}
	return 0, nil, false
}

// unescape decodes \xNN in place. The kernel writes so whatever is not printable
// ASCII, and the backslash (msg_add_ext_text in kernel/printk/printk.c).
func unescape(b []byte) []byte {
	i := bytes.IndexByte(b, '\\')
	if i < 0 {
		return b
	}
	out := b[:i]
	for i < len(b) {
		if b[i] == '\\' && i+3 < len(b) && b[i+1] == 'x' {
			hi, ok1 := hexDigit(b[i+2])
			lo, ok2 := hexDigit(b[i+3])
			if ok1 && ok2 {
				out = append(out, hi<<4|lo)
				i += 4
				continue
			}
		}
		out = append(out, b[i])
		i++
	}
	return out
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// parseUptime reads seconds with an optional fraction, blanks before them:
// "  994.671234". The result is in microseconds.
func parseUptime(b []byte) (uint64, bool) {
	b = bytes.TrimLeft(b, " ")
	var n uint64
	digits, frac := 0, -1
	for _, c := range b {
		switch {
		case c == '.' && frac < 0 && digits > 0:
			frac = 0
		case '0' <= c && c <= '9':
			if frac >= 6 {
				continue
			}
			if n > math.MaxInt64/1000/10 {
				return 0, false
			}
			n = n*10 + uint64(c-'0')
			digits++
			if frac >= 0 {
				frac++
			}
		default:
			return 0, false
		}
	}
	for frac = max(frac, 0); frac < 6; frac++ {
		if n > math.MaxInt64/1000/10 {
			return 0, false
		}
		n *= 10
	}
	return n, digits > 0
}
