package redact

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// row is how one field is redacted; v is the field of the copy.
type row func(r *model, v reflect.Value)

// What becomes of fields that are not mapped by themselves.
var (
	stays row // a number's name, a word of the kernel's or of this program's
	found row // a constant of a rule: the walk finds out what it is
	after row // mapped with the struct that it is in (structRows)
)

// drop leaves nothing of it.
func drop(_ *model, v reflect.Value) { v.SetZero() }

// as is the name of a kind, each of several, or the value of a Fact.
func as(k Kind) row { return each(func(r *model, s string) string { return r.m.Name(k, s) }) }

var text = each(func(r *model, s string) string { return r.m.Text(s) })

// each maps a string, or all of them.
func each(do func(*model, string) string) row {
	var apply row
	apply = func(r *model, v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			v.SetString(do(r, v.String()))
		case reflect.Slice:
			for i := range v.Len() {
				apply(r, v.Index(i))
			}
		case reflect.Struct:
			apply(r, v.FieldByName("Value"))
		}
	}
	return apply
}

// mapAddr maps one address.
func mapAddr(r *model, v reflect.Value) { at[netip.Addr](v, r.m.Addr) }

// networks maps a prefix whose host part is 0, hosts one that is an address
// with the length of its subnet. prefixes can be either.
func networks(r *model, v reflect.Value) { at[netip.Prefix](v, r.m.Network) }

func hosts(r *model, v reflect.Value) { at[netip.Prefix](v, r.m.HostIn) }

func prefixes(r *model, v reflect.Value) {
	at[netip.Prefix](v, func(p netip.Prefix) netip.Prefix {
		if p == p.Masked() {
			return r.m.Network(p)
		}
		return r.m.HostIn(p)
	})
}

func at[T any](v reflect.Value, do func(T) T) {
	p := v.Addr().Interface().(*T)
	*p = do(*p)
}

func hardware(r *model, v reflect.Value) {
	if b := v.Slice(0, v.Len()).Bytes(); !isZero(b) {
		r.m.MAC(b)
	}
}

// fieldRows is every field that can hold an address, a name or bytes, by
// package, type and name.
var fieldRows = sync.OnceValue(func() map[string]row {
	return map[string]row{
		// what a namespace is made of
		"bundle.LogLine.Text":          each(func(r *model, s string) string { return r.m.LogLine(s) }),
		"bundle.State.Enter":           each((*model).enter),
		"capture.Expectation.Function": stays,
		"capture.Expectation.Helper":   as(Helper),
		"capture.Loggers.Bridge":       stays,
		"capture.Loggers.IPv4":         stays,
		"capture.Loggers.IPv6":         stays,
		"capture.Loggers.Known":        stays,
		"counters.Stats.Source":        each((*model).source),
		"host.Addr.Peer":               hosts,
		"host.Addr.Prefix":             hosts,
		"host.Fact.Value":              stays, // the field that the Fact is has the row
		"host.Fact.Why":                text,
		"host.Flow.Helper":             as(Helper),
		"host.Flow.Labels":             stays,
		"host.Flow.Secctx":             as(Secctx),
		"host.Flow.TCPFlags":           stays,
		"host.Flow.TCPScale":           stays,
		"host.Missing.What":            each((*model).missing),
		"host.Missing.Why":             text,
		"host.Neighbour.Addr":          mapAddr,
		"host.Neighbour.MAC":           hardware,
		"host.NetnsID.Boot":            stays, // drawn by lot at each boot
		"host.Place.BootID":            stays,
		"host.PolicyRule.Dst":          prefixes,
		"host.PolicyRule.Iif":          as(Device),
		"host.PolicyRule.Oif":          as(Device),
		"host.PolicyRule.Other":        stays, // names of selectors
		"host.PolicyRule.Src":          prefixes,
		"host.RouteEntry.Dst":          networks,
		"host.RouteEntry.Gateway":      mapAddr,
		"host.RouteEntry.PrefSrc":      mapAddr,
		"host.Snapshot.Hostname":       as(Hostname),
		"host.Snapshot.Kernel":         stays, // what is known of a release hangs on it
		"host.Snapshot.Netns":          as(Namespace),
		"host.Snapshot.Sysctls":        after,
		"host.XfrmPolicy.Dst":          prefixes,
		"host.XfrmPolicy.Src":          prefixes,
		"host.XfrmTemplate.Dst":        mapAddr,
		"host.XfrmTemplate.Src":        mapAddr,
		"rules.Link.Kind":              stays,
		"rules.Link.Name":              as(Device),
		"rules.Tuple.Dst":              mapAddr,
		"rules.Tuple.Src":              mapAddr,

		// rules
		"rules.BaseChain.Type":        stays,
		"rules.Bitwise.Mask":          stays,
		"rules.Bitwise.Xor":           found,
		"rules.Chain.Comment":         as(Comment),
		"rules.Chain.Name":            as(Chain),
		"rules.Const.Data":            found,
		"rules.Counter.Name":          as(Object),
		"rules.Device.Name":           after,
		"rules.Element.Comment":       as(Comment),
		"rules.Element.Data":          found,
		"rules.Element.Key":           found,
		"rules.Element.KeyEnd":        found,
		"rules.Element.Object":        as(Object),
		"rules.FlowOffload.Flowtable": as(Object),
		"rules.Flowtable.Name":        as(Object),
		"rules.IPSet.Bitmask":         stays,
		"rules.IPSet.From":            after,
		"rules.IPSet.Missing":         text,
		"rules.IPSet.Name":            as(SetName),
		"rules.IPSet.To":              after,
		"rules.IPSet.Type":            stays,
		"rules.IPSetElement.Comment":  as(Comment),
		"rules.IPSetElement.IP":       after,
		"rules.IPSetElement.IP2":      after,
		"rules.IPSetElement.Iface":    after,
		"rules.IPSetElement.MAC":      hardware,
		"rules.IPSetElement.Name":     as(SetName),
		"rules.IPSetRef.Dims":         stays,
		"rules.IPSetRef.Name":         as(SetName),
		"rules.Log.Prefix":            as(LogPrefix),
		"rules.Match.Right":           found,
		"rules.MatchRange.Hi":         found,
		"rules.MatchRange.Lo":         found,
		"rules.NPT.From":              after,
		"rules.NPT.To":                after,
		"rules.ObjRef.Name":           as(Object),
		"rules.Object.Comment":        as(Comment),
		"rules.Object.Detail":         after,
		"rules.Object.Name":           as(Object),
		"rules.Object.Raw":            after,
		"rules.Opaque.Name":           stays,
		"rules.Opaque.Raw":            drop,
		"rules.Opaque.Why":            text,
		"rules.Open.Name":             stays,
		"rules.RawExpr.Data":          drop, // what is printed for it is made of the whole rule (ruleTexts)
		"rules.RawExpr.Name":          stays,
		"rules.RawExpr.Text":          each(func(r *model, s string) string { return r.m.IptablesRule(s) }),
		"rules.Remark.Name":           stays,
		"rules.Remark.Text":           as(Comment),
		"rules.Rule.Comment":          as(Comment),
		"rules.Rule.Text":             drop,
		"rules.Rule.UserData":         drop, // the comment alone is used of it
		"rules.Set.Comment":           as(Comment),
		"rules.Set.Missing":           text,
		"rules.Set.Name":              each((*model).setName),
		"rules.Set.UserData":          after,
		"rules.Table.Backend":         stays,
		"rules.Table.Comment":         as(Comment),
		"rules.Table.Incomplete":      text,
		"rules.Table.Name":            as(Table),
		"rules.Tainted.Why":           text,
		"rules.Verdict.ChainName":     as(Chain),
		"xt.OfHelper.Name":            as(Helper),
		"xt.U32Test.Ranges":           stays, // found by the walk where they can be of addresses
		"xt.U32Test.Steps":            stays,

		// what was recorded
		"history.AddrChange.Dev":      as(Device),
		"history.AddrChange.Op":       stays,
		"history.AddrChange.Peer":     hosts,
		"history.AddrChange.Prefix":   hosts,
		"history.Author.Command":      as(Word),
		"history.Author.Parent":       as(Program),
		"history.Author.Program":      as(Program),
		"history.Change.Kind":         stays,
		"history.Change.Note":         text,
		"history.ElementChange.Op":    stays,
		"history.ElementChange.Text":  after,
		"history.ElementChange.Was":   after,
		"history.Gap.Why":             text,
		"history.History.Path":        as(Path),
		"history.LinkChange.Name":     as(Device),
		"history.LinkChange.Op":       stays,
		"history.LinkChange.Text":     each((*model).ipText),
		"history.LinkChange.Was":      each((*model).ipText),
		"history.ObjectChange.Name":   after,
		"history.ObjectChange.Op":     stays,
		"history.ObjectChange.Text":   after,
		"history.ObjectChange.Was":    after,
		"history.ObjectChange.What":   stays,
		"history.Place.Backend":       stays,
		"history.Place.Chain":         as(Chain),
		"history.Place.Family":        stays,
		"history.Place.Set":           as(SetName),
		"history.Place.Table":         as(Table),
		"history.PolicyChange.Family": stays,
		"history.PolicyChange.Op":     stays,
		"history.PolicyChange.Text":   each((*model).ipText),
		"history.Range.Addr":          after,
		"history.Range.AddrMax":       after,
		"history.RouteChange.Devs":    as(Device),
		"history.RouteChange.Dst":     networks,
		"history.RouteChange.Family":  stays,
		"history.RouteChange.Op":      stays,
		"history.RouteChange.Text":    each((*model).ipText),
		"history.RouteChange.Was":     each((*model).ipText),
		"history.RouteChange.WasDevs": as(Device),
		"history.RuleChange.Op":       stays,
		"history.RuleVersion.Comment": as(Comment),
		"history.RuleVersion.Text":    after,
		"history.RulesDiff.Unread":    text,
		"history.SetChange.What":      stays,
		"history.Start.Version":       stays,
		"history.Target.Kind":         stays,
		"history.Target.Map":          as(SetName),
	}
})

// setName: nft numbers the sets without a name.
func (r *model) setName(s string) string {
	for _, stem := range []string{"__set", "__map"} {
		if n, ok := strings.CutPrefix(s, stem); ok && strings.Trim(n, "0123456789") == "" {
			return s
		}
	}
	return r.m.Name(SetName, s)
}

// source is where counters were read: netlink, a file of /proc, or another one.
func (r *model) source(s string) string {
	if s == "netlink" || strings.HasPrefix(s, "/proc/") {
		return s
	}
	return r.m.Name(Path, s)
}

// missing keeps the names of a snapshot's parts, which it is asked by.
func (r *model) missing(s string) string {
	if slices.Contains([]string{host.PartLinks, host.PartAddrs, host.PartRoutes, host.PartPolicy, host.PartNft, host.PartLegacy}, s) {
		return s
	}
	for _, p := range []string{host.PartNft, host.PartLegacy} {
		if rest, ok := strings.CutPrefix(s, p); ok {
			return p + r.m.Text(rest)
		}
	}
	return r.m.Text(s)
}

// enter is what a command line begins with: the namespace stands in it.
func (r *model) enter(s string) string {
	if r.netns == "" {
		return r.m.Text(s)
	}
	return strings.ReplaceAll(s, r.netns, r.m.Name(Namespace, r.netns))
}

// deviceWords stand before the name of a device in what ip writes.
var deviceWords = []string{"dev", "iif", "oif", "master", "link", "vrf", "nexthop dev"}

// ipText is what ip writes of a route, a policy rule or a device.
func (r *model) ipText(s string) string {
	words := strings.Split(s, " ")
	for i := 1; i < len(words); i++ {
		if slices.Contains(deviceWords, words[i-1]) {
			words[i] = r.m.Name(Device, words[i])
		}
	}
	return r.m.Text(strings.Join(words, " "))
}

// devicesNamed are the rules of a chain's or a flowtable's devices.
func (r *model) device(d *rules.Device) {
	if d.Prefix {
		d.Name = r.m.devicePrefix(d.Name)
	} else {
		d.Name = r.m.Name(Device, d.Name)
	}
}
