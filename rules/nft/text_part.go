package nft

import "github.com/ntdiag/ntdiag/rules"

// setPrinter is a printer with the types of the keys and data of s.
func setPrinter(s *rules.Set) (p *printer, key, data typed, head string) {
	family := rules.FamilyUnspec
	if s.Table != nil {
		family = s.Table.Family
	}
	p = newPrinter(family, nil)
	if s.Table != nil && s.Table.Ruleset != nil {
		if o := s.Table.Ruleset.Order; o != nil {
			p.order = o
		}
		p.links = s.Table.Ruleset.DeviceName
	}
	key = p.key(s)
	if s.Flags&rules.SetMap != 0 {
		data = p.dataType(s)
	}
	head = p.declaration(s, &key, &data)
	return p, key, data, head
}

// SetText is what a named set or map holds, as nft declares it:
// "type inet_service : ipv4_addr".
func SetText(s *rules.Set) string {
	_, _, _, head := setPrinter(s)
	return head
}

// ElementText makes the text of elements of s, one by one, as nft lists them:
// "443 : 192.168.1.81", without the time that is left.
func ElementText(s *rules.Set) func(*rules.Element) string {
	p, key, data, _ := setPrinter(s)
	return func(e *rules.Element) string { return p.element(s, e, key, data) }
}

// BaseText is where and how a base chain hangs, as nft writes it:
// "type nat hook prerouting priority dstnat; policy accept;".
func BaseText(f rules.Family, b *rules.BaseChain) string { return baseText(f, b) }
