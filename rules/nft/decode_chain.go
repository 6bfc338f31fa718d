package nft

import (
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_CHAIN_*.
const (
	attrChainTable    = 1
	attrChainHandle   = 2
	attrChainName     = 3
	attrChainHook     = 4
	attrChainPolicy   = 5
	attrChainType     = 7
	attrChainCounters = 8
	attrChainFlags    = 10
	attrChainUserdata = 12
)

// NFTA_HOOK_*, and NFTA_DEVICE_* inside NFTA_HOOK_DEVS.
const (
	attrHookNum      = 1
	attrHookPriority = 2
	attrHookDev      = 3
	attrHookDevs     = 4
	attrDeviceName   = 1
	attrDevicePrefix = 2
)

// chainBinding is NFT_CHAIN_BINDING.
const chainBinding = 1 << 2

func (t *tableParts) newChain(name string) *rules.Chain {
	c := &rules.Chain{Table: t.Table, Name: name}
	t.chains[name] = c
	t.Chains = append(t.Chains, c)
	return c
}

// AddChain takes a NFT_MSG_NEWCHAIN (nf_tables_fill_chain_info).
func (b *Builder) AddChain(payload []byte) error {
	t, name, a, err := b.openIn("chain", payload, attrChainTable, attrChainName)
	if err != nil {
		return err
	}
	c := t.chains[string(name)]
	if c == nil {
		c = t.newChain(string(name))
	}
	c.Handle, c.Flags = a.opt64(attrChainHandle), a.opt32(attrChainFlags)
	c.Binding = c.Flags&chainBinding != 0
	c.Comment = cstring(userdata(a.get(attrChainUserdata), udataComment))
	if a.has(attrChainHook) {
		c.Base = baseChain(t.Family, a)
	}
	if a.err != nil {
		t.note("chain %q: %v", name, a.err)
	}
	return nil
}

// baseChain reads what a chain with a hook has (nf_tables_fill_chain_info,
// nft_dump_basechain_hook).
func baseChain(family rules.Family, a *attrs) *rules.BaseChain {
	hook := a.nest(attrChainHook)
	base := &rules.BaseChain{
		Type:     rules.ChainType(a.str(attrChainType)),
		Hook:     hookOf(family, hook.u32(attrHookNum)),
		Priority: int32(hook.u32(attrHookPriority)),
		Policy:   rules.VerdictAccept,
	}
	if a.has(attrChainPolicy) {
		base.Policy = rules.VerdictCode(int32(a.u32(attrChainPolicy)))
	}
	base.Devices = devices(hook)
	if a.has(attrChainCounters) {
		c := a.nest(attrChainCounters)
		base.HasCounter = true
		base.Packets, base.Bytes = c.opt64(attrCounterPackets), c.opt64(attrCounterBytes)
		a.note(c.err)
	}
	a.note(hook.err)
	return base
}

// note is fail for an error that may be nil.
func (a *attrs) note(err error) {
	if err != nil {
		a.fail(err)
	}
}

// devices are those a chain hangs at. A single one is given twice, by itself
// and as a list.
func devices(hook *attrs) []rules.Device {
	if !hook.has(attrHookDevs) {
		if s := hook.str(attrHookDev); s != "" {
			return []rules.Device{{Name: s}}
		}
		return nil
	}
	return deviceList(hook, attrHookDevs)
}

// deviceList reads the NFTA_DEVICE_* inside attribute n.
func deviceList(a *attrs, n int) (out []rules.Device) {
	a.note(eachAttr(a.order, a.get(n), func(typ int, val []byte) {
		switch typ {
		case attrDeviceName:
			out = append(out, rules.Device{Name: cstring(val)})
		case attrDevicePrefix:
			out = append(out, rules.Device{Name: cstring(val), Prefix: true})
		}
	}))
	return out
}

// familyHooks are the hooks of the families that do not number them as the IP
// families do: NF_NETDEV_INGRESS and NF_NETDEV_EGRESS; NF_ARP_IN, NF_ARP_OUT
// and NF_ARP_FORWARD.
var familyHooks = map[rules.Family][]rules.Hook{
	rules.FamilyNetdev: {rules.Ingress, rules.Ingress + 1},
	rules.FamilyARP:    {rules.Input, rules.Output, rules.Forward},
}

// hookUnknown is a hook that no packet meets, for a number out of range.
const hookUnknown rules.Hook = 0xff

func hookOf(family rules.Family, n uint32) rules.Hook {
	if own, ok := familyHooks[family]; ok {
		if n < uint32(len(own)) {
			return own[n]
		}
		return hookUnknown
	}
	if n > uint32(rules.Ingress) {
		return hookUnknown
	}
	return rules.Hook(n)
}

// classicTables are the tables that iptables-nft makes: the priority of the
// base chains by hook.
var classicTables = map[string]map[rules.Hook]int32{
	"raw":    {rules.Prerouting: -300, rules.Output: -300},
	"mangle": {rules.Prerouting: -150, rules.Input: -150, rules.Forward: -150, rules.Output: -150, rules.Postrouting: -150},
	"nat":    {rules.Prerouting: -100, rules.Output: -100, rules.Input: 100, rules.Postrouting: 100},
	"filter": {rules.Input: 0, rules.Forward: 0, rules.Output: 0},
	// legacy's is 50 (NF_IP_PRI_SECURITY)
	"security": {rules.Input: 150, rules.Forward: 150, rules.Output: 150},
}

// backendOf tells iptables-nft's tables from nft's own: they hold xtables
// extensions, or are named and laid out as iptables does it.
func backendOf(t *rules.Table) rules.Backend {
	for _, c := range t.Chains {
		for _, r := range c.Rules {
			for i := range r.Raw {
				if n := r.Raw[i].Name; n == "match" || n == "target" {
					return rules.BackendIptablesNft
				}
			}
		}
	}
	classic, ok := classicTables[t.Name]
	if !ok || t.Family != rules.FamilyIPv4 && t.Family != rules.FamilyIPv6 {
		return rules.BackendNft
	}
	bases := 0
	for _, c := range t.Chains {
		if c.Base == nil {
			continue
		}
		prio, ok := classic[c.Base.Hook]
		if !ok || prio != c.Base.Priority || c.Name != strings.ToUpper(c.Base.Hook.String()) {
			return rules.BackendNft
		}
		bases++
	}
	if bases == 0 {
		return rules.BackendNft
	}
	return rules.BackendIptablesNft
}
