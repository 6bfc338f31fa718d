package main

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

func newFlowsCmd(a *app) *cobra.Command {
	f := &flowFlags{}
	cmd := &cobra.Command{
		Use:   "flows",
		Short: "list the conntrack table, rewrites as before → after",
		Long: `flows lists conntrack entries. Where NAT rewrote an end, it stands as
before → after. A table is bounded to a page; -o jsonl streams tables of any
size. Its commands work on entries: get shows all of some, insert makes one,
update changes some, delete removes some, watch follows them.`,
		Example: `  ntdiag flows --dnat --port 443
  ntdiag flows --addr 10.0.0.0/8 --state syn-sent
  ntdiag flows --status unreplied --proto udp -o jsonl`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.flows(cmd, f) },
	}
	f.add(cmd)
	cmd.AddCommand(newFlowsGetCmd(a), newFlowsInsertCmd(a), newFlowsUpdateCmd(a), newFlowsDeleteCmd(a), newFlowsWatchCmd(a))
	return cmd
}

// flowFlags are the filters as given.
type flowFlags struct {
	output string
	text   map[string]*string
	on     map[string]*bool
	limit  int
	// renamed are the filters whose names a command uses for what it sets.
	renamed map[string]string
}

func (f *flowFlags) flag(filter string) string {
	if name, ok := f.renamed[filter]; ok {
		return name
	}
	return filter
}

// filterFlags is every filter that takes a value.
var filterFlags = []struct {
	name, help string
	set        func(*query.Filter, string) error
}{
	{"proto", "protocol, by name or number", setProto},
	{"src", "source address or prefix of the original tuple", func(x *query.Filter, v string) (err error) { x.Src, err = query.ParsePrefix(v); return }},
	{"dst", "destination address or prefix of the original tuple", func(x *query.Filter, v string) (err error) { x.Dst, err = query.ParsePrefix(v); return }},
	{"reply-src", "source address or prefix of the reply tuple", func(x *query.Filter, v string) (err error) { x.ReplySrc, err = query.ParsePrefix(v); return }},
	{"reply-dst", "destination address or prefix of the reply tuple", func(x *query.Filter, v string) (err error) { x.ReplyDst, err = query.ParsePrefix(v); return }},
	{"addr", "address or prefix at any end, before or after NAT", func(x *query.Filter, v string) (err error) { x.Addr, err = query.ParsePrefix(v); return }},
	{"sport", "source port of the original tuple", func(x *query.Filter, v string) error { return setPort(&x.Sport, v) }},
	{"dport", "destination port of the original tuple", func(x *query.Filter, v string) error { return setPort(&x.Dport, v) }},
	{"reply-sport", "source port of the reply tuple", func(x *query.Filter, v string) error { return setPort(&x.ReplySport, v) }},
	{"reply-dport", "destination port of the reply tuple", func(x *query.Filter, v string) error { return setPort(&x.ReplyDport, v) }},
	{"port", "port at any end, before or after NAT", func(x *query.Filter, v string) error { return setPort(&x.Port, v) }},
	{"state", "state of a TCP or SCTP entry", func(x *query.Filter, v string) (err error) { x.State, err = query.ParseState(v); return }},
	{"zone", "conntrack zone", setZone},
	{"mark", "ct mark, as V or V/MASK", setMark},
	{"label", "number of a label that is set", setLabel},
	{"helper", "name of the helper", func(x *query.Filter, v string) error { x.Helper = v; return nil }},
	{"status", "status bits, parted by commas; !BIT for a clear one", func(x *query.Filter, v string) (err error) {
		x.Status, x.StatusMask, err = query.ParseStatus(v)
		return
	}},
	{"family", "ipv4 or ipv6", setFamily},
}

// flowValues are what a shell is offered for the filters that take few values.
func flowValues() map[string][]string {
	lower := func(names ...[]string) (out []string) {
		for _, n := range slices.Concat(names...) {
			if n = strings.ToLower(n); !slices.Contains(out, n) && n != "none" {
				out = append(out, n)
			}
		}
		return out
	}
	return map[string][]string{
		"proto":  {"tcp", "udp", "icmp", "icmpv6", "sctp", "dccp", "udplite", "gre"},
		"state":  lower(host.TCPStates[:], host.SCTPStates[:]),
		"status": lower([]string{"unreplied"}, host.Status(0xffff).Names()),
		"family": {"ipv4", "ipv6"},
	}
}

// natFlags are the filters on the rewrites.
var natFlags = []struct {
	name, help string
}{
	{"snat", "only flows whose source is rewritten"},
	{"dnat", "only flows whose destination is rewritten"},
	{"any-nat", "only flows with a rewrite"},
	{"no-nat", "only flows without a rewrite"},
	{"ipv4", "only IPv4"},
	{"ipv6", "only IPv6"},
}

func (f *flowFlags) add(cmd *cobra.Command) {
	f.addFilters(cmd)
	cmd.Flags().IntVar(&f.limit, "limit", 0, "at most this many flows")
}

// addFilters adds all but the bound on flows.
func (f *flowFlags) addFilters(cmd *cobra.Command) {
	f.addChoice(cmd)
	f.on["all"] = cmd.Flags().Bool("all", false, "every row, not only a page")
	outputFlag(cmd, &f.output)
}

// addChoice adds what chooses flows, and nothing of how they are shown.
func (f *flowFlags) addChoice(cmd *cobra.Command) {
	f.text, f.on = map[string]*string{}, map[string]*bool{}
	for _, row := range filterFlags {
		f.text[row.name] = cmd.Flags().String(f.flag(row.name), "", row.help)
	}
	short := map[string]string{"ipv4": "4", "ipv6": "6"}
	for _, row := range natFlags {
		f.on[row.name] = cmd.Flags().BoolP(row.name, short[row.name], false, row.help)
	}
	for name, values := range flowValues() {
		_ = cmd.RegisterFlagCompletionFunc(f.flag(name), cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
}

// given tells whether a filter was said.
func (f *flowFlags) given(cmd *cobra.Command) bool {
	for name := range f.text {
		if cmd.Flags().Changed(f.flag(name)) {
			return true
		}
	}
	for name := range f.on {
		if name != "all" && cmd.Flags().Changed(name) {
			return true
		}
	}
	return false
}

// exclusive are flags of which one at most can be said.
var exclusive = [][]string{{"any-nat", "no-nat"}, {"snat", "no-nat"}, {"dnat", "no-nat"}, {"ipv4", "ipv6", "family"}}

func checkExclusive(cmd *cobra.Command) error {
	for _, group := range exclusive {
		said := ""
		for _, name := range group {
			switch {
			case !cmd.Flags().Changed(name):
			case said == "":
				said = name
			default:
				return fmt.Errorf("--%s and --%s exclude each other", said, name)
			}
		}
	}
	return nil
}

// filter reads the flags.
func (f *flowFlags) filter(cmd *cobra.Command) (query.Filter, error) {
	var x query.Filter
	if err := checkExclusive(cmd); err != nil {
		return x, err
	}
	for _, row := range filterFlags {
		if !cmd.Flags().Changed(f.flag(row.name)) {
			continue
		}
		if err := row.set(&x, *f.text[row.name]); err != nil {
			return x, fmt.Errorf("--%s: %w", f.flag(row.name), err)
		}
	}
	switch {
	case *f.on["ipv4"]:
		x.Family = rules.FamilyIPv4
	case *f.on["ipv6"]:
		x.Family = rules.FamilyIPv6
	}
	switch {
	case *f.on["snat"] && *f.on["dnat"]:
		x.NAT = query.NATBoth
	case *f.on["snat"]:
		x.NAT = query.NATSrc
	case *f.on["dnat"]:
		x.NAT = query.NATDst
	case *f.on["any-nat"]:
		x.NAT = query.NATAny
	case *f.on["no-nat"]:
		x.NAT = query.NATNone
	}
	if f.limit < 0 {
		return x, errors.New("--limit: must not be negative")
	}
	return x, x.Check()
}

func setProto(x *query.Filter, v string) error {
	n, err := query.ParseProto(v)
	x.Proto = query.Opt{N: uint32(n), Set: true}
	return err
}

func setPort(o *query.Opt, v string) error {
	n, err := query.ParsePort(strings.TrimPrefix(v, ":"))
	*o = query.Opt{N: uint32(n), Set: true}
	return err
}

func setZone(x *query.Filter, v string) error {
	n, err := query.ParseZone(v)
	x.Zone = query.Opt{N: uint32(n), Set: true}
	return err
}

func setLabel(x *query.Filter, v string) error {
	n, err := query.ParseLabel(v)
	x.Label = query.Opt{N: uint32(n), Set: true}
	return err
}

func setMark(x *query.Filter, v string) (err error) {
	x.Mark.Set = true
	x.Mark.N, x.MarkMask, err = query.ParseMark(v)
	return err
}

func setFamily(x *query.Filter, v string) (err error) {
	x.Family, err = query.ParseFamily(v)
	return err
}

// kernelFilter is what the kernel can leave out itself; the filter is applied
// again to what it sends.
func kernelFilter(x *query.Filter) capture.Filter {
	k := capture.Filter{Family: x.Family}
	if x.Mark.Set {
		k.HasMark, k.Mark, k.MarkMask = true, x.Mark.N&x.MarkMask, x.MarkMask
	}
	if x.StatusMask != 0 {
		k.HasStatus, k.Status, k.StatusMask = true, uint32(x.Status), uint32(x.StatusMask)
	}
	if x.Zone.Set {
		k.HasZone, k.Zone = true, uint16(x.Zone.N)
	}
	for _, a := range []struct {
		from netip.Prefix
		to   *netip.Addr
	}{{x.Src, &k.Orig.Src}, {x.Dst, &k.Orig.Dst}, {x.ReplySrc, &k.Reply.Src}, {x.ReplyDst, &k.Reply.Dst}} {
		if a.from.IsValid() && a.from.IsSingleIP() {
			*a.to = a.from.Addr()
		}
	}
	if x.Proto.Set {
		k.Orig.Proto = uint8(x.Proto.N)
		k.Orig.SrcPort, k.Orig.DstPort = uint16(x.Sport.N), uint16(x.Dport.N)
	}
	return k
}

func (a *app) flows(cmd *cobra.Command, f *flowFlags) error {
	format, err := formatOf(f.output)
	if err != nil {
		return err
	}
	x, err := f.filter(cmd)
	if err != nil {
		return usage(err)
	}
	l, err := a.open(cmd.Context())
	if err != nil {
		return err
	}
	defer l.Close()
	style := a.style(format)
	if *f.on["all"] || f.limit > 0 {
		style.Rows = f.limit
	}
	var end report.FlowsEnd
	page, of := firstPage(l, &x, format, style)
	w := format.Flows(a.out(cmd, format), style)
	info, err := l.Flows(cmd.Context(), kernelFilter(&x), func(flow *host.Flow) error {
		if page > 0 && end.Matched == page {
			end.Unread = of - page
			return capture.ErrStop
		}
		end.Checked++
		if !x.Match(flow) {
			return nil
		}
		end.Matched++
		if f.limit > 0 && end.Shown == f.limit {
			if format.Human {
				return nil
			}
			return capture.ErrStop
		}
		end.Shown++
		return w.Add(flow)
	})
	if err != nil {
		return cannot(err)
	}
	end.Header = report.NewHeader("flows", a.host(cmd.Context(), l), info.Missing())
	if end.Header.Note = info.Turnover.Note(); end.Header.Note != "" && format.Name == "jsonl" { // which has no header
		fmt.Fprintf(a.warn, "ntdiag: %s\n", end.Header.Note)
	}
	if err := w.Close(end); err != nil {
		return incomplete(err)
	}
	return finish(cmd, end.Header, false)
}

// bigTable is how many entries are not all read to show a page of them, and to
// say how many more there are.
const bigTable = 50_000

// firstPage is how many flows of a big table are shown, and how many it has:
// 0 where it is to be read to its end, as only that tells how many fit.
func firstPage(l capture.Source, x *query.Filter, format report.Format, style report.Style) (page, of int) {
	if !format.Human || style.Rows == 0 || *x != (query.Filter{}) || !isLive(l) {
		return 0, 0
	}
	n, _, err := l.Count()
	if err != nil || n < bigTable || n <= uint64(style.Rows) {
		return 0, 0
	}
	return style.Rows, int(n)
}
