package redact

import "strings"

// IptablesRule maps a rule, or a part of one, in the syntax of iptables-save;
// other lines of its output too (*nat, :CHAIN, # …), and several of them. What
// an option's value is tells iptablesOptions: the structure stays, and so do
// numbers and the words of the extensions. An option that is not there loses
// its values: addresses in them are mapped, words become tokens.
func (m *Mapper) IptablesRule(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = m.saveLine(line)
	}
	return strings.Join(lines, "\n")
}

func (m *Mapper) saveLine(s string) string {
	switch {
	case s == "COMMIT" || s == "":
		return s
	case s[0] == '#':
		return "# " + m.Name(Comment, strings.TrimSpace(s[1:]))
	case s[0] == '*':
		return "*" + m.Name(Table, s[1:])
	case s[0] == ':':
		name, rest, _ := strings.Cut(s[1:], " ")
		policy, counts, _ := strings.Cut(rest, " ")
		if policy != "-" {
			policy = m.Name(Chain, policy)
		}
		if counts = strings.TrimSpace(counts); !isCounts(counts) {
			counts = m.Name(Word, counts)
		}
		return strings.TrimRight(":"+m.Name(Chain, name)+" "+policy+" "+counts, " ")
	}
	r := ruleText{m: m, in: s}
	return r.run()
}

// isCounts tells whether a word is counters, [packets:bytes].
func isCounts(s string) bool {
	packets, bytes, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"), ":")
	return ok && s[0] == '[' && isDigits(packets) && isDigits(bytes)
}

// ruleText goes through the words of a rule.
type ruleText struct {
	m    *Mapper
	in   string
	out  strings.Builder
	row  option // of the option before
	seen int    // values of it so far
}

func (r *ruleText) run() string {
	r.row = option{value: freeValue}
	for i := 0; i < len(r.in); {
		if r.in[i] == ' ' || r.in[i] == '\t' {
			r.out.WriteByte(r.in[i])
			i++
			continue
		}
		word, quoted, end := cutArgument(r.in, i)
		r.word(word, r.in[i:end], quoted)
		i = end
	}
	return r.out.String()
}

// cutArgument reads one word as xtables_save_string writes it.
func cutArgument(s string, at int) (word string, quoted bool, end int) {
	var b strings.Builder
	i := at
	in := false
	for ; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			in, quoted = !in, true
		case c == '\\' && in && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case (c == ' ' || c == '\t') && !in:
			return b.String(), quoted, i
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), quoted, i
}

func (r *ruleText) word(word, raw string, quoted bool) {
	if !quoted {
		switch {
		case word == "!":
			r.out.WriteString(raw)
			return
		case strings.HasPrefix(word, "-") && len(word) > 1 && !isNumeric(word[1:]):
			r.option(word)
			return
		case isCounts(word):
			r.out.WriteString(raw)
			return
		}
	}
	value := r.row.value
	if r.seen > 0 {
		value = r.row.rest
	}
	if value == nil {
		value = freeValue
	}
	r.seen++
	image := value(r.m, word)
	if image == word {
		r.out.WriteString(raw)
		return
	}
	if quoted {
		image = quoteArgument(image)
	}
	r.out.WriteString(image)
}

func (r *ruleText) option(word string) {
	row, known := iptablesOptions()[word]
	r.seen = 0
	if known {
		r.row = row
		r.out.WriteString(word)
		return
	}
	// --name=value, or one of an extension that is not known
	name, value, is := strings.Cut(word, "=")
	if row, known = iptablesOptions()[name]; is && known && row.value != nil {
		r.row, r.seen = row, 1
		r.out.WriteString(name + "=" + row.value(r.m, value))
		return
	}
	r.row = option{freeValue, freeValue}
	r.out.WriteString("--" + r.m.Name(Word, strings.TrimLeft(word, "-")))
}

// quoteArgument is what xtables_save_string does.
func quoteArgument(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`).Replace(s) + `"`
}

// isNumeric tells whether a word is a number, a range or a list of them, or one
// with a mask.
func isNumeric(s string) bool {
	for _, n := range strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == '/' || c == '-' }) {
		if hex, is := strings.CutPrefix(n, "0x"); !isDigits(n) && (!is || strings.Trim(hex, "0123456789abcdefABCDEF") != "") {
			return false
		}
	}
	return s != ""
}

// freeValue maps a value of which nothing is known.
func freeValue(m *Mapper, s string) string {
	switch {
	case isNumeric(s) || iptablesTargets.has(s):
		return s
	case isAddressText(s):
		return m.text(s, false)
	}
	return m.Name(Word, s)
}

func keepValue(_ *Mapper, s string) string { return s }

// addressValue maps addresses, networks with a length or a mask, ranges, with
// ports, and lists of those.
func addressValue(m *Mapper, s string) string {
	parts := strings.Split(s, ",")
	for i, part := range parts {
		switch {
		case isAddressText(part):
			parts[i] = m.text(part, false)
		case isNumeric(strings.TrimPrefix(part, ":")): // a port, or a number of another option with the same name
		case part != "":
			parts[i] = m.Name(Hostname, part)
		}
	}
	return strings.Join(parts, ",")
}

// isAddressText tells whether a text is an address, and what may follow one.
func isAddressText(s string) bool {
	if strings.Trim(s, "0123456789abcdefABCDEF:./-[]") != "" {
		return false
	}
	s = strings.TrimPrefix(s, "[")
	_, four := cut4(s, 0)
	_, six := cut6(s, 0)
	_, hardware, _ := cutHardware(s, 0)
	return max(four, six, hardware) > 0
}

// deviceValue maps a device; a + at its end stands for any rest.
func deviceValue(m *Mapper, s string) string {
	if p, is := strings.CutSuffix(s, "+"); is {
		return m.DevicePrefix(p) + "+"
	}
	return m.Name(Device, s)
}

// hardwareValue maps a hardware address, with a mask as ebtables has it.
func hardwareValue(m *Mapper, s string) string {
	if _, end, _ := cutHardware(s, 0); end > 0 {
		return m.text(s, false)
	}
	return addressValue(m, s)
}

// nameValue maps names of a kind.
func nameValue(k Kind) func(*Mapper, string) string {
	return func(m *Mapper, s string) string { return m.Name(k, s) }
}

// orNumber keeps numbers: ids, ranges of them, with a mask.
func orNumber(k Kind) func(*Mapper, string) string {
	return func(m *Mapper, s string) string {
		if isNumeric(s) {
			return s
		}
		return m.Name(k, s)
	}
}

// setFlags keeps the dimensions of a set.
func setFlags(m *Mapper, s string) string {
	for w := range strings.SplitSeq(s, ",") {
		if w != "src" && w != "dst" {
			return freeValue(m, s)
		}
	}
	return s
}

// extensionValue maps what follows -m.
func extensionValue(m *Mapper, s string) string {
	if iptablesMatches.has(s) {
		return s
	}
	return m.Name(Word, s)
}

// DevicePrefix is what names begin with that began with p, where Constraints
// have it. One that they do not have becomes a token.
func (m *Mapper) DevicePrefix(p string) string {
	if p == "" {
		return ""
	}
	for _, known := range m.names.devices.prefixes {
		if known.text == p {
			return known.token
		}
	}
	if beginsKnownDevice(p) {
		return p
	}
	return m.Name(Device, p)
}
