package rules

import (
	"slices"
	"strings"
)

// owner is a program that writes rules, and how its rules are told. Patterns
// are names in which * stands for any run of characters. The first row that
// fits has the rule.
type owner struct {
	name string
	// tables, chains and comments are the program's alone.
	tables, chains, comments []string
	// weak names are used by others too: they count where a table of the same
	// family and backend holds one of chains. weakDevs are devices that a rule
	// of a shared chain names.
	weak, weakDevs []string
	// marks are bits of the packet mark that rules of shared chains test or set.
	marks []ownMark
}

// ownMark is a mark with its mask, host numbers.
type ownMark struct{ value, mask uint32 }

// owners is one row a program. What stands here was seen in rules that the
// programs wrote themselves.
var owners = []owner{
	{name: "docker", tables: []string{"docker-bridges"},
		chains: []string{"DOCKER", "DOCKER-*", "DOCKER_OUTPUT", "DOCKER_POSTROUTING"}, weakDevs: []string{"docker0", "docker_gwbridge", "br-*"}},
	{name: "kube-proxy", tables: []string{"kube-proxy"}, chains: []string{"KUBE-*"}, comments: []string{"kubernetes *"}},
	{name: "firewalld", tables: []string{"firewalld", "firewalld_*"},
		chains: []string{"*PUT_direct", "FORWARD_direct", "*ROUTING_direct", "*PUT_POLICIES*", "FORWARD_POLICIES*", "*ROUTING_POLICIES*",
			"*PUT_ZONES*", "FORWARD_*_ZONES*", "*ROUTING_ZONES*"},
		weak: []string{"IN_*", "OUT_*", "FWD_*", "FWDI_*", "FWDO_*", "PRE_*", "POST_*"}},
	{name: "libvirt", tables: []string{"libvirt_network"}, chains: []string{"LIBVIRT_*"}},
	{name: "netavark", tables: []string{"netavark"}, chains: []string{"NETAVARK-*", "NETAVARK_*"}, comments: []string{"netavark *"}},
	{name: "cni", tables: []string{"cni_plugins_*", "cni_hostport"}, chains: []string{"CNI-*"}, comments: []string{"CNI portfwd *", "CNI firewall plugin *", `name: "*" id: "*"`}},
	{name: "ufw", chains: []string{"ufw-*", "ufw6-*"}},
	{name: "fw4", tables: []string{"fw4"}, comments: []string{"!fw4: *"}},
	{name: "fw3", chains: []string{"delegate_prerouting", "delegate_postrouting", "delegate_input", "delegate_output", "delegate_forward", "zone_*_prerouting", "zone_*_postrouting"},
		comments: []string{"!fw3*"}, weak: []string{"prerouting_*rule", "postrouting_*rule", "zone_*"}},
	{name: "tailscale", tables: []string{"tailscale*"}, chains: []string{"ts-forward", "ts-input", "ts-postrouting", "ts-prerouting"},
		marks: []ownMark{{0x40000, 0xff0000}, {0x80000, 0xff0000}}},
	{name: "calico", tables: []string{"calico"}, chains: []string{"cali-*", "felix-*"}, comments: []string{"cali:*"}},
	{name: "istio", tables: []string{"istio-*"}, chains: []string{"ISTIO_*"}},
	{name: "shorewall", chains: []string{"shorewall", "shorewall6"},
		weak: []string{"*_frwd", "*_dnat", "*_masq", "*_fwd", "*-fw", "fw-*", "*2fw", "fw2*", "dynamic", "smurfs", "smurflog", "tcpflags", "logdrop", "logreject", "logflags",
			"reject", "sha-*", "loc-*", "net-*", "dmz-*", "tcpre", "tcpost", "tcfor", "tcin", "tcout"}},
	{name: "flannel", tables: []string{"flannel-ipv4", "flannel-ipv6"}, chains: []string{"FLANNEL-*"}, comments: []string{"flanneld *"}},
	{name: "weave", chains: []string{"WEAVE", "WEAVE-*"}},
	{name: "cilium", chains: []string{"CILIUM_*", "OLD_CILIUM_*"}, comments: []string{"cilium: *", "cilium-feeder: *"}},
	{name: "antrea", chains: []string{"ANTREA-*"}, comments: []string{"Antrea: *"}},
	{name: "ip-masq-agent", chains: []string{"IP-MASQ", "IP-MASQ-AGENT"}},
	{name: "systemd-networkd", tables: []string{"io.systemd.nat"}},
	{name: "lxc", tables: []string{"lxc"}},
	{name: "lxd", tables: []string{"lxd"}, comments: []string{"generated for LXD *"}},
	{name: "incus", tables: []string{"incus"}, comments: []string{"generated for Incus *"}},
	{name: "wg-quick", tables: []string{"wg-quick-*"}, comments: []string{"wg-quick(8) rule for *"}},
	{name: "neutron", chains: []string{"neutron-*"}},
	{name: "miniupnpd", chains: []string{"MINIUPNPD", "MINIUPNPD-*"}},
	{name: "edgeos", chains: []string{"UBNT_*", "VYATTA_*"}},
	{name: "unifi", chains: []string{"UBIOS_*"}},
	{name: "rancher", chains: []string{"CATTLE_*"}},
	{name: "fail2ban", tables: []string{"f2b-table"}, chains: []string{"f2b-*"}},
	{name: "sshuttle", chains: []string{"sshuttle-*"}},
}

// OwnerNames are the programs whose rules are recognised.
func OwnerNames() []string {
	out := make([]string, len(owners))
	for i := range owners {
		out[i] = owners[i].name
	}
	return out
}

// MadeBy names the program that wrote the table, "" when it is not recognised.
// It goes by names alone: whoever uses a program's names is taken for it.
func (t *Table) MadeBy() string {
	if t == nil {
		return ""
	}
	return first(func(o *owner) bool { return fits(o.tables, t.Name) })
}

// MadeBy names the program that wrote the chain, by its own name or by that of
// its table.
func (c *Chain) MadeBy() string {
	if c == nil {
		return ""
	}
	if c.Base == nil {
		if by := chainOwner(c.Table, c.Name); by != "" {
			return by
		}
	}
	return c.Table.MadeBy()
}

// MadeBy names the program that wrote the rule: by its comment, its chain, the
// chain that it leads to, its table, or a mark or device that the program's
// rules use.
func (r *Rule) MadeBy() string {
	if r.Comment != "" {
		if by := first(func(o *owner) bool { return fits(o.comments, r.Comment) }); by != "" {
			return by
		}
	}
	if by := r.Chain.MadeBy(); by != "" || r.Chain == nil {
		return by
	}
	for _, s := range r.Statements {
		v, ok := s.(*Verdict)
		if !ok || v.ChainName == "" {
			continue
		}
		if by := chainOwner(r.Chain.Table, v.ChainName); by != "" {
			return by
		}
	}
	return first(func(o *owner) bool { return o.usesMark(r) || o.usesDevice(r) })
}

func first(holds func(*owner) bool) string {
	for i := range owners {
		if holds(&owners[i]) {
			return owners[i].name
		}
	}
	return ""
}

func chainOwner(t *Table, name string) string {
	if by := first(func(o *owner) bool { return fits(o.chains, name) }); by != "" {
		return by
	}
	return first(func(o *owner) bool { return fits(o.weak, name) && o.present(t) })
}

// present tells whether the program has a chain of its own in a table beside t.
func (o *owner) present(t *Table) bool {
	if t == nil {
		return false
	}
	tables := []*Table{t}
	if t.Ruleset != nil {
		tables = t.Ruleset.Tables
	}
	for _, u := range tables {
		if u.Family == t.Family && u.Backend == t.Backend &&
			slices.ContainsFunc(u.Chains, func(c *Chain) bool { return fits(o.chains, c.Name) }) {
			return true
		}
	}
	return false
}

func (o *owner) usesDevice(r *Rule) bool {
	if len(o.weakDevs) == 0 || r.NAT() == nil {
		return false
	}
	for _, c := range r.Conditions() {
		if m, ok := c.(*Match); ok && isDevice(m.Left) && fits(o.weakDevs, cstr(m.Right)) {
			return o.present(r.Chain.Table)
		}
	}
	return false
}

func isDevice(x Expr) bool {
	m, ok := x.(*Meta)
	return ok && (m.Key == MetaIifname || m.Key == MetaOifname)
}

func (o *owner) usesMark(r *Rule) bool {
	if len(o.marks) == 0 || r.Chain.Table == nil || r.Chain.Table.Ruleset == nil {
		return false
	}
	order := (&Packet{Order: r.Chain.Table.Ruleset.Order}).order()
	for _, c := range r.Conditions() {
		m, ok := c.(*Match)
		if !ok || m.Op != CmpEq || len(m.Right) != 4 {
			continue
		}
		b, ok := m.Left.(*Bitwise)
		if !ok || len(b.Mask) != 4 {
			continue
		}
		if x, ok := b.X.(*Meta); !ok || x.Key != MetaMark {
			continue
		}
		if slices.Contains(o.marks, ownMark{order.Uint32(m.Right), order.Uint32(b.Mask)}) {
			return true
		}
	}
	return false
}

// cstr is a register's name up to its first zero.
func cstr(b []byte) string {
	s, _, _ := strings.Cut(string(b), "\x00")
	return s
}

func fits(patterns []string, name string) bool {
	for _, p := range patterns {
		if like(p, name) {
			return true
		}
	}
	return false
}

// like matches a name with a pattern in which * is any run of characters.
func like(pattern, name string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !strings.HasPrefix(name, head) {
		return false
	}
	if !star {
		return name == head
	}
	name = name[len(head):]
	if rest == "" {
		return true
	}
	for i := 0; i <= len(name); i++ {
		if like(rest, name[i:]) {
			return true
		}
	}
	return false
}

// OwnerName is what a name is of, for OwnerFixed.
type OwnerName uint8

const (
	OwnerTable OwnerName = iota
	OwnerChain
	OwnerComment
	OwnerDevice
)

// patterns are those that names of a sort are compared with.
func (o *owner) patterns(of OwnerName) []string {
	switch of {
	case OwnerTable:
		return o.tables
	case OwnerChain:
		return slices.Concat(o.chains, o.weak)
	case OwnerComment:
		return o.comments
	}
	return o.weakDevs
}

// OwnerFixed tells which bytes of a name owners are recognised by, those that
// stand in a pattern and not for its *, and the patterns that the name fits. A
// name with the same patterns has the same owner.
func OwnerFixed(of OwnerName, name string) (fixed []bool, patterns []string) {
	for i := range owners {
		for _, p := range owners[i].patterns(of) {
			if !like(p, name) {
				continue
			}
			if fixed == nil {
				fixed = make([]bool, len(name))
			}
			mark(fixed, p, name)
			patterns = append(patterns, p)
		}
	}
	return fixed, patterns
}

// mark sets the bytes of a name that the pattern it fits has, each * as short
// as can be.
func mark(fixed []bool, pattern, name string) {
	at := 0
	for {
		head, rest, star := strings.Cut(pattern, "*")
		for i := range head {
			fixed[at+i] = true
		}
		at += len(head)
		if !star || rest == "" {
			return
		}
		for !like(rest, name[at:]) {
			at++
		}
		pattern = rest
	}
}
