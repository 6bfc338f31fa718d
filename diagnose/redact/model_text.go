package redact

import (
	"reflect"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// rule gives each extension of iptables the text that its bytes had.
func (r *model) rule(c any, original reflect.Value) {
	to, from := c.(*rules.Rule), original.Addr().Interface().(*rules.Rule)
	if from.Chain == nil || from.Chain.Table == nil || !from.Chain.Table.Backend.Iptables() {
		return
	}
	for i, text := range xt.RawTexts(from) {
		if text != "" {
			to.Raw[i].Text = r.m.IptablesRule(text)
		}
	}
}

// wordKinds are what a quoted word is by the word before it.
var wordKinds = map[string]Kind{
	"iifname": Device, "oifname": Device, "iif": Device, "oif": Device, "ibrname": Device, "obrname": Device, "sdifname": Device, "sdif": Device,
	"device": Device, "oifname,": Device, "comment": Comment, "prefix": LogPrefix, "helper": Helper, "type": Helper, "name": Object,
}

// nftText is a rule, or an element, in the words of nft, where the model is not
// at hand: what is quoted and what names chains and sets becomes tokens, the
// rest is free text.
func (r *model) nftText(s string) string {
	var out strings.Builder
	last, kind := "", Device
	for len(s) > 0 {
		n := strings.IndexAny(s, " \t\n\"@")
		switch {
		case n < 0:
			n = len(s)
		case n > 0:
		case s[0] == '"':
			end := strings.IndexByte(s[1:], '"')
			if end < 0 {
				return out.String() + r.m.Name(Word, s)
			}
			if k, ok := wordKinds[last]; ok {
				kind = k
			}
			out.WriteString(`"` + r.quoted(kind, s[1:1+end]) + `"`)
			s = s[end+2:]
			continue
		case s[0] == '@' && len(s) > 1 && !strings.HasPrefix(s, "@nh,") && !strings.HasPrefix(s, "@th,") && !strings.HasPrefix(s, "@ll,") && !strings.HasPrefix(s, "@ih,"):
			name, _, _ := strings.Cut(s[1:], " ")
			k := SetName
			if last == "add" && strings.HasSuffix(out.String(), "flow add ") {
				k = Object
			}
			out.WriteString("@" + r.m.Name(k, name))
			s = s[1+len(name):]
			continue
		default:
			out.WriteByte(s[0])
			s = s[1:]
			continue
		}
		word := s[:n]
		s = s[n:]
		switch {
		case last == "jump" || last == "goto":
			name := strings.TrimRight(word, ",;")
			out.WriteString(r.m.Name(Chain, name) + word[len(name):])
		default:
			out.WriteString(word)
		}
		last = word
	}
	return r.m.Text(out.String())
}

// quoted is a word between quotes; a device's may end in an asterisk.
func (r *model) quoted(k Kind, s string) string {
	if p, ok := strings.CutSuffix(s, "*"); ok && k == Device {
		return r.m.devicePrefix(p) + "*"
	}
	return r.m.Name(k, s)
}

// devicePrefix is what names begin with that began with p, where a rule
// compares it (Constraints.DevicePrefix).
func (m *Mapper) devicePrefix(p string) string {
	for _, d := range m.names.devices.prefixes {
		if d.text == p {
			return d.token
		}
	}
	return m.Name(Device, p)
}
