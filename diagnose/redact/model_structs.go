package redact

import (
	"net/netip"
	"reflect"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// structRows are the structs of which a field hangs on another one: each is
// given the copy, with the other fields mapped, and the original.
var structRows = map[reflect.Type]func(r *model, copy any, original reflect.Value){
	reflect.TypeFor[rules.Device]():         func(r *model, c any, _ reflect.Value) { r.device(c.(*rules.Device)) },
	reflect.TypeFor[rules.IPSet]():          func(r *model, c any, _ reflect.Value) { r.ipset(c.(*rules.IPSet)) },
	reflect.TypeFor[rules.Object]():         (*model).object,
	reflect.TypeFor[rules.Set]():            func(_ *model, c any, _ reflect.Value) { setUserData(c.(*rules.Set)) },
	reflect.TypeFor[rules.NPT]():            (*model).npt,
	reflect.TypeFor[rules.Rule]():           (*model).rule,
	reflect.TypeFor[host.Snapshot]():        (*model).sysctls,
	reflect.TypeFor[capture.Expectation]():  (*model).expectation,
	reflect.TypeFor[history.Range]():        (*model).historyRange,
	reflect.TypeFor[history.RuleChange]():   (*model).ruleChange,
	reflect.TypeFor[history.SetChange]():    (*model).setChange,
	reflect.TypeFor[history.ObjectChange](): (*model).objectChange,
}

func (r *model) npt(c any, _ reflect.Value) {
	n := c.(*rules.NPT)
	for _, a := range []*netip.Addr{&n.From, &n.To} {
		if p, err := a.Prefix(n.Bits); err == nil {
			*a = r.m.Network(p).Addr()
		}
	}
}

// confDirs are where settings stand by device.
var confDirs = []string{"net.ipv4.conf.", "net.ipv6.conf.", "net.ipv4.neigh.", "net.ipv6.neigh."}

// sysctls: some have the name of a device in their key. Values are numbers, but
// for those of netfilter, which name loggers.
func (r *model) sysctls(c any, _ reflect.Value) {
	s := c.(*host.Snapshot)
	out := make(map[string]host.Fact[string], len(s.Sysctls))
	for key, f := range s.Sysctls {
		f.Value = r.sysctlValue(key, f.Value)
		out[r.m.sysctlKey(key, func(dev string) string { return r.m.Name(Device, dev) })] = f
	}
	if s.Sysctls != nil {
		s.Sysctls = out
	}
}

func (r *model) sysctlValue(key, value string) string {
	if strings.Trim(value, "-0123456789 \t") == "" || strings.HasPrefix(key, "net.netfilter.") {
		return value
	}
	return r.m.Text(value)
}

// sysctlKey is the key with another name of its device.
func (m *Mapper) sysctlKey(key string, name func(string) string) string {
	for _, dir := range confDirs {
		rest, ok := strings.CutPrefix(key, dir)
		if dot := strings.LastIndexByte(rest, '.'); ok && dot > 0 {
			return dir + name(rest[:dot]) + rest[dot:]
		}
	}
	return key
}

// expectation: of a tuple's source only the bits of the mask count.
func (r *model) expectation(c any, original reflect.Value) {
	x, was := c.(*capture.Expectation), original.Interface().(capture.Expectation)
	x.Mask = was.Mask
	if !was.Mask.Src.IsValid() || !was.Tuple.Src.IsValid() {
		return
	}
	if n, ok := prefixLen(was.Mask.Src.AsSlice()); ok && n < was.Tuple.Src.BitLen() {
		x.Tuple.Src = r.m.Network(netip.PrefixFrom(was.Tuple.Src, n)).Addr()
	}
}

func (r *model) historyRange(c any, _ reflect.Value) {
	h := c.(*history.Range)
	if h.AddrMax.IsValid() {
		h.Addr, h.AddrMax = r.m.Range(h.Addr, h.AddrMax)
	} else {
		h.Addr = r.m.Addr(h.Addr)
	}
}

func (r *model) ruleChange(c any, original reflect.Value) {
	ch := c.(*history.RuleChange)
	version := func(v *history.RuleVersion) {
		if v == nil {
			return
		}
		if ch.Backend.Iptables() {
			v.Text = r.m.IptablesRule(v.Text)
		} else {
			v.Text = r.nftText(v.Text)
		}
	}
	version(&ch.RuleVersion)
	version(ch.Was)
}

func (r *model) setChange(c any, original reflect.Value) {
	ch, was := c.(*history.SetChange), original.Interface().(history.SetChange)
	for i := range ch.Elements {
		e, o := &ch.Elements[i], &was.Elements[i]
		e.Text, e.Was = r.nftText(o.Text), r.nftText(o.Was)
	}
}

// kindOf is what the name of a thing is of.
var kindOf = map[string]Kind{
	"table": Table, "chain": Chain, "set": SetName, "map": SetName, "ipset": SetName,
}

func (r *model) objectChange(c any, original reflect.Value) {
	ch, was := c.(*history.ObjectChange), original.Interface().(history.ObjectChange)
	k, ok := kindOf[ch.What]
	if !ok {
		k = Object
	}
	ch.Name = r.m.Name(k, was.Name)
	for _, f := range []struct {
		to  *string
		was string
	}{{&ch.Text, was.Text}, {&ch.Was, was.Was}} {
		*f.to = r.m.Text(replaceWord(r.nftText(f.was), was.Name, ch.Name))
	}
}

// replaceWord puts to in the place of a word.
func replaceWord(s, word, to string) string {
	if word == "" {
		return s
	}
	parts := strings.Split(s, " ")
	for i, p := range parts {
		if p == word {
			parts[i] = to
		}
	}
	return strings.Join(parts, " ")
}
