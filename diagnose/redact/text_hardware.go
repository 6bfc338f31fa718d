package redact

import (
	"encoding/hex"
	"strings"
)

// hardware maps 00:00:5e:00:53:01, 00-00-5e-00-53-01, 0000.5e00.5301. More than
// six bytes are one address, but fourteen: those are the header of a frame, two
// addresses and a protocol.
func (p *prose) hardware(at int) int {
	if !p.before(at) || at > 0 && strings.IndexByte(":-.", p.in[at-1]) >= 0 && !(p.in[at-1] == ':' && isLabel(p.in, at)) {
		return 0
	}
	b, end, sep := cutHardware(p.in, at)
	if end == 0 || isWordByteAt(p.in, end) {
		return 0
	}
	if at > 0 && p.in[at-1] == '/' { // a mask, as ebtables writes it
		return p.skip(end)
	}
	written := p.in[at:end]
	if len(b) == 14 {
		p.m.mapHardware(b[:6], p.back)
		p.m.mapHardware(b[6:12], p.back)
	} else {
		p.m.mapHardware(b, p.back)
	}
	return p.put(at, end, hardwareInForm(b, written, sep))
}

func (m *Mapper) mapHardware(b []byte, back bool) {
	if back {
		m.hardware(b, true)
	} else {
		m.MAC(b)
	}
}

// maxHardware bounds an address: InfiniBand has 20 bytes.
const maxHardware = 32

// cutHardware reads bytes of two digits, or six of one or two, with the same
// separator between them.
func cutHardware(s string, at int) (b []byte, end int, sep byte) {
	if b, end := cutDotted(s, at); end > 0 {
		return b, end, '.'
	}
	short := false
	i := at
	for {
		j := i
		for j < len(s) && j < i+3 && isHex(s[j]) {
			j++
		}
		if j == i || j == i+3 {
			return nil, 0, 0
		}
		short = short || j == i+1
		v, _ := hex.DecodeString(("0" + s[i:j])[j-i-1:])
		b = append(b, v...)
		i = j
		more := i+1 < len(s) && isHex(s[i+1])
		if sep == 0 && more && (s[i] == ':' || s[i] == '-') {
			sep = s[i]
		}
		if sep == 0 || !more || s[i] != sep {
			break
		}
		if len(b) == maxHardware {
			return nil, 0, 0
		}
		i++
	}
	if len(b) < 6 || short && len(b) != 6 || i < len(s) && s[i] == ':' && sep == ':' && i+1 < len(s) && s[i+1] == ':' {
		return nil, 0, 0
	}
	return b, i, sep
}

// cutDotted reads three times four digits.
func cutDotted(s string, at int) ([]byte, int) {
	if at+14 > len(s) || s[at+4] != '.' || s[at+9] != '.' || at+14 < len(s) && s[at+14] == '.' && isWordByteAt(s, at+15) {
		return nil, 0
	}
	b, err := hex.DecodeString(s[at:at+4] + s[at+5:at+9] + s[at+10:at+14])
	if err != nil {
		return nil, 0
	}
	return b, at + 14
}

func hardwareInForm(b []byte, as string, sep byte) string {
	var out strings.Builder
	switch {
	case sep == '.':
		h := hex.EncodeToString(b)
		out.WriteString(h[:4] + "." + h[4:8] + "." + h[8:])
	default:
		for i, v := range b {
			if i > 0 {
				out.WriteByte(sep)
			}
			out.WriteString(hex.EncodeToString([]byte{v}))
		}
	}
	if strings.ToUpper(as) == as && strings.ToLower(as) != as {
		return strings.ToUpper(out.String())
	}
	return out.String()
}
