package redact

import (
	"strings"
	"sync"
)

// Words that stay: they are in every installation, or belong to a program, and
// say nothing of whose network it is.

// numberedDevices with a number of up to three digits behind them stay.
var numberedDevices = []string{
	"eth", "wlan", "wwan", "br", "bond", "team", "tun", "tap", "wg", "ppp", "dummy", "ifb", "veth", "vnet", "virbr",
	"docker", "podman", "cni", "lxcbr", "lxdbr", "incusbr", "usb", "sit", "gre", "gretap", "erspan", "tunl", "ip6tnl",
	"ip6gre", "ip_vti", "ip6_vti", "vti", "ipsec", "xfrm", "vmnet", "vmbr", "tailscale", "nm-bridge", "macvtap",
}

var knownDevices = []string{
	"lo", "docker_gwbridge", "flannel.1", "cilium_host", "cilium_net", "cilium_vxlan", "kube-ipvs0", "kube-bridge",
	"nodelocaldns", "vxlan.calico", "wireguard.cali", "weave", "antrea-gw0", "ovs-system", "br-int", "br-tun", "br-ex", "br-lan",
	"br-wan", "lan", "wan", "virbr0-nic", "all", "default",
}

// sortStems begin the names of devices that programs make; the rest of such a
// name hangs on what it is for.
var sortStems = []string{"veth", "vnet", "cali", "tap", "lxc", "br-"}

// known are the words of each kind.
var known = map[Kind][]string{
	Table: {"nat", "filter", "mangle", "raw", "security", "broute", "inet", "global", "main", "firewall", "fw", "default"},
	Chain: {
		"INPUT", "OUTPUT", "FORWARD", "PREROUTING", "POSTROUTING", "BROUTING", "DOCKER-USER", "RH-Firewall-1-INPUT",
		"input", "output", "forward", "prerouting", "postrouting", "ingress", "egress", "nat", "filter", "mangle", "raw",
		"dstnat", "srcnat", "snat", "dnat", "masquerade", "global", "log", "drop", "accept", "reject", "block", "allow",
		"LOGDROP", "LOGGING", "LOG_DROP", "LOGACCEPT",
	},
	Hostname:  {"localhost", "localhost.localdomain", "(none)"},
	Namespace: {"init", "host", "default"},
	SetName:   {"DEFAULT", "map", "set"},
	Object:    {"counter", "quota", "limit", "default"},
	// The helpers of the kernel, net/netfilter/nf_conntrack_*.c.
	Helper:    {"ftp", "tftp", "sip", "irc", "amanda", "sane", "pptp", "snmp", "netbios-ns", "RAS", "Q.931", "H.245", "h323"},
	LogPrefix: {"[UFW BLOCK]", "[UFW AUDIT]", "[UFW ALLOW]", "[UFW LIMIT BLOCK]", "[UFW AUDIT INVALID]", "iptables denied", "DROP", "REJECT", "IPTABLES-DROP"},
	// What processes of one label are told from others by is in the type.
	Secctx: {"unconfined", "kernel", "system_u:object_r:unlabeled_t:s0", "system_u:object_r:unlabeled_t", "unlabeled"},
	Path:   {"/", "/proc", "/sys", "/dev", "/run", "/run/netns", "/var/run/netns", "/proc/self/ns/net", "/proc/1/ns/net"},
	Cgroup: {"/", "/system.slice", "/user.slice", "/init.scope", "/machine.slice", "system.slice", "user.slice", "machine.slice", "init.scope"},
	Program: {
		"nft", "iptables", "ip6tables", "iptables-nft", "iptables-legacy", "ip6tables-legacy", "iptables-restore", "ip6tables-restore",
		"iptables-nft-restore", "xtables-nft-multi", "xtables-legacy-multi", "ipset", "ip", "conntrack", "conntrackd", "firewalld", "dockerd",
		"docker", "podman", "netavark", "kube-proxy", "kubelet", "systemd", "systemd-networkd", "NetworkManager", "ufw", "sh", "bash",
		"libvirtd", "virtnetworkd", "tailscaled", "ntdiag", "fail2ban-server", "containerd", "dhcpcd", "dhclient", "wg-quick", "python3", "unknown",
	},
}

// ownerWords stay in names and comments that a program made: they say what the
// rule is for.
var ownerWords = words(`
	SVC SEP FW XLB SVL EXT MARK MASQ DROP ACCEPT SERVICES NODEPORTS NODEPORT NODE PORT POSTROUTING PREROUTING FORWARD INPUT OUTPUT
	FIREWALL PROXY CANARY KUBELET EXTERNAL KUBE LOAD BALANCER LB IP PORTALS HOST CONTAINER NETAVARK
	ISOLATION STAGE 1 2 USER INGRESS BRIDGE CT INTERNAL DN SN HOSTPORT SETMARK DNAT SNAT
	HOSTPORTS FWI FWO FWX INP OUT PRT
	public internal external home work block drop dmz trusted libvirt nm shared allow deny log pre post direct
	before after logging forward input output track reject skip to policy local not
	fw tw wl fh th pi po fip dispatch tohost pri pro
	REDIRECT INBOUND TPROXY IN DIVERT
	zone lan wan guest prerouting postrouting rule src dest
	kubernetes service portals traffic for destined nodeports node ports must be the last rule in this chain
	requiring SNAT forwarding conntrack externally visible load balancer masquerade handle policies
	cluster masq all services has no endpoints firewall
	CNI portfwd plugin rules bridge nat dnat masq DNAT
	flanneld POSTRTG forward return
	generated network bridge dhcp dns
	wg-quick quick rule
	lb nfq masquerading traffic established related
`)

// commonWords: a comment that has no others stays.
var commonWords = words(`
	a accept accepted address addresses all allow allowed an and any are as at block blocked broadcast by chain clamp client clients close
	connection connections conntrack default deny denied destination dhcp dns dnat dns drop dropped dst else established everything
	external filter firewall first for forward forwarding from ftp guest hairpin http https icmp icmpv6 if in inbound incoming input interface
	internal internet invalid ip ips ipv4 ipv6 is keep lan last limit link local log logging loopback mangle mark masq masquerade match mdns mss
	multicast nat net network new no not ntp of on only open or our out outbound outgoing output packet packets pass per ping policy
	port portforward ports postrouting prerouting private public quic raw redirect reject rejected related remote return route router rule rules
	server service set smtp snat source spoof spoofing src ssh state stateful table tcp test the this to traffic translate udp untrusted
	trusted user users vpn wan web with wireguard
`)

// wordSet is words that are taken apart when the first is asked for: most
// commands ask for none.
type wordSet struct{ set func() map[string]bool }

func (s wordSet) has(w string) bool { return s.set()[w] }

func words(text string) wordSet {
	return wordSet{sync.OnceValue(func() map[string]bool {
		out := map[string]bool{}
		for w := range strings.FieldsSeq(text) {
			out[w] = true
		}
		return out
	})}
}

var knownWords = sync.OnceValue(func() map[Name]bool {
	out := map[Name]bool{}
	for k, list := range known {
		for _, w := range list {
			out[Name{k, w}] = true
		}
	}
	for _, w := range knownDevices {
		out[Name{Device, w}] = true
	}
	return out
})

func isKnown(k Kind, s string) bool {
	if knownWords()[Name{k, s}] {
		return true
	}
	switch k {
	case Device:
		return isNumberedDevice(s)
	case Chain:
		return iptablesTargets.has(s)
	case Comment:
		return isCommon(s)
	}
	return false
}

// isKnownToAny: a name of one kind that stays where it is one of another.
func isKnownToAny(s string) bool {
	for k := Device; k <= Word; k++ {
		if isKnown(k, s) {
			return true
		}
	}
	return false
}

func isNumberedDevice(s string) bool {
	for _, w := range numberedDevices {
		if strings.HasPrefix(s, w) && isNumber(s[len(w):]) {
			return true
		}
	}
	return false
}

func isNumber(s string) bool {
	return len(s) > 0 && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}

// isCommon tells whether free text is of common words alone.
func isCommon(s string) bool {
	for _, w := range cutWords(s) {
		if !isSeparator(w[0]) && !commonWords.has(strings.ToLower(w)) {
			return false
		}
	}
	return true
}
