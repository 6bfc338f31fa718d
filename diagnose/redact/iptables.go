package redact

// IptablesRule maps a rule, or a part of one, in the syntax of iptables-save.
func (m *Mapper) IptablesRule(s string) string { return m.Name(Word, s) }
