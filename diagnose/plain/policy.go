package plain

import (
	"fmt"
	"io"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// policyActions are FR_ACT_*, as ip names them.
var policyActions = map[uint8]string{3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}

// PolicyRules writes what `ip rule` prints, or with IPv6 `ip -6 rule`. Selectors
// whose values the model does not hold are named at the end.
func PolicyRules(w io.Writer, s *host.Snapshot, family rules.Family) error {
	for i := range s.RuleTable {
		if r := &s.RuleTable[i]; r.Family == family {
			policyRule(w, r)
		}
	}
	return nil
}

func policyRule(w io.Writer, r *host.PolicyRule) {
	parts := []string{}
	add := func(when bool, format string, args ...any) {
		if when {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(r.Invert, "not")
	add(true, "from %s", selected(r.Src))
	add(r.Dst.IsValid(), "to %s", selected(r.Dst))
	switch {
	case r.Mask == ^uint32(0):
		add(true, "fwmark %s", hex(r.Mark))
	case r.Mark != 0 || r.Mask != 0:
		add(true, "fwmark %s/%s", hex(r.Mark), hex(r.Mask))
	}
	add(r.Iif != "", "iif %s", r.Iif)
	add(r.Oif != "", "oif %s", r.Oif)
	switch {
	case r.L3mdev:
		add(true, "lookup [l3mdev-table]")
	case r.Action == 1:
		add(true, "lookup %s", table(r.Table))
	}
	add(r.SuppressPrefix >= 0, "suppress_prefixlength %d", r.SuppressPrefix)
	add(r.Action == 2, "goto %d", r.Goto)
	add(policyActions[r.Action] != "", "%s", policyActions[r.Action])
	add(len(r.Other) > 0, "[and by %s]", strings.Join(r.Other, ", "))
	fmt.Fprintf(w, "%d:\t%s\n", r.Priority, strings.Join(parts, " "))
}

// hex is %#x of C, which leaves 0 alone.
func hex(n uint32) string {
	if n == 0 {
		return "0"
	}
	return fmt.Sprintf("%#x", n)
}

func selected(p netip.Prefix) string {
	switch {
	case !p.IsValid():
		return "all"
	case p.IsSingleIP():
		return addr(p.Addr())
	}
	return p.String()
}

var xfrmDirs = [...]string{"in", "out", "fwd", "socket in", "socket out"}

var (
	xfrmModes  = map[uint8]string{0: "transport", 1: "tunnel", 2: "ro", 3: "in_trigger", 4: "beet"}
	xfrmProtos = map[uint8]string{50: "esp", 51: "ah", 108: "comp", 43: "route2", 60: "hao"}
)

func nameOrNumber(names map[uint8]string, n uint8) string {
	if s := names[n]; s != "" {
		return s
	}
	return fmt.Sprint(n)
}

// XfrmPolicies writes what `ip xfrm policy` prints.
func XfrmPolicies(w io.Writer, s *host.Snapshot, all []host.XfrmPolicy) error {
	for i := range all {
		xfrmPolicy(w, s, &all[i])
	}
	return nil
}

func xfrmPolicy(w io.Writer, s *host.Snapshot, p *host.XfrmPolicy) {
	src, dst := "0.0.0.0/0", "0.0.0.0/0"
	if p.Src.IsValid() && p.Dst.IsValid() {
		src, dst = p.Src.String(), p.Dst.String()
	}
	fmt.Fprintf(w, "src %s dst %s ", src, dst)
	if p.Proto != 0 {
		fmt.Fprintf(w, "proto %s ", rules.ProtocolText(p.Proto))
	}
	if p.SrcPort != 0 {
		fmt.Fprintf(w, "sport %d ", p.SrcPort)
	}
	if p.DstPort != 0 {
		fmt.Fprintf(w, "dport %d ", p.DstPort)
	}
	if p.Ifindex != 0 {
		fmt.Fprintf(w, "dev %s ", nameOf(s, p.Ifindex))
	}
	dir := fmt.Sprint(p.Dir)
	if int(p.Dir) < len(xfrmDirs) {
		dir = xfrmDirs[p.Dir]
	}
	fmt.Fprintf(w, "\n\t%s ", dirWord(dir))
	if p.Action == 1 {
		fmt.Fprint(w, "action block ")
	}
	fmt.Fprintf(w, "priority %d ptype main \n", p.Priority)
	if p.Mark != 0 || p.Mask != 0 {
		fmt.Fprintf(w, "\tmark %s/%s \n", hex(p.Mark), hex(p.Mask))
	}
	for _, t := range p.Templates {
		fmt.Fprintf(w, "\ttmpl src %s dst %s\n\t\tproto %s ", addr(t.Src), addr(t.Dst), nameOrNumber(xfrmProtos, t.Proto))
		if t.SPI != 0 {
			fmt.Fprintf(w, "spi 0x%08x ", t.SPI)
		}
		fmt.Fprintf(w, "reqid %d mode %s\n", t.Reqid, nameOrNumber(xfrmModes, t.Mode))
		if t.Optional {
			fmt.Fprint(w, "\t\tlevel use \n")
		}
	}
	if p.IfID != 0 {
		fmt.Fprintf(w, "\tif_id %s\n", hex(p.IfID))
	}
}

// dirWord is "dir in", or "socket in".
func dirWord(dir string) string {
	if strings.HasPrefix(dir, "socket ") {
		return dir
	}
	return "dir " + dir
}
