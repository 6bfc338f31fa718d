package redact

// wordIndex finds the known names in free text.
type wordIndex struct{}

// Text maps every address, hardware address and known name in free text.
func (m *Mapper) Text(s string) string { return m.Name(Word, s) }

// LogLine maps one line of the kernel's log.
func (m *Mapper) LogLine(s string) string { return m.Name(Word, s) }

// IptablesRule maps a rule, or a part of one, in the syntax of iptables-save.
func (m *Mapper) IptablesRule(s string) string { return m.Name(Word, s) }
