package evidence

import (
	"path"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/rules/pattern"
)

// What of a sos report is read: the directories of its plugins (they moved
// between versions), and files of the root.
var (
	sosPlugins = []string{"networking", "firewall_tables", "firewalld", "conntrack", "netfilter", "kernel", "host", "ipset", "nftables", "namespaces", "date"}
	// sosTrees are the copies of the machine's own files, and what is no output
	// of a command; sosCopies what of them is read.
	sosTrees  = []string{"proc", "etc", "sys", "var", "usr", "run", "boot", "lib", "root", "sos_logs", "sos_reports", "sos_strings"}
	sosCopies = []string{"proc/net/nf_conntrack", "proc/net/ip_conntrack", "proc/net/stat/nf_conntrack", "etc/hostname"}
	// sosSkip are outputs of those plugins that look like others.
	sosSkip = pattern.New(`(^|_)(expect|route_show_cache|-s_-d_link_show_cache|maddr|mroute|ntable|neigh|netconf)`)
)

// wanted tells whether a file can hold a text: in a sos report only some can,
// elsewhere every one.
func (o *opener) wanted(name string) bool {
	parts := strings.Split(path.Clean(name), "/")
	if i := slices.Index(parts, "sos_commands"); i >= 0 {
		return len(parts) > i+2 && slices.Contains(sosPlugins, parts[i+1]) && !sosSkip.MatchString(parts[len(parts)-1])
	}
	// a report lies in a directory of its name
	for i := range min(2, len(parts)-1) {
		if slices.Contains(sosTrees, parts[i]) {
			return slices.Contains(sosCopies, strings.Join(parts[i:], "/"))
		}
	}
	return true
}

var (
	execNetns = pattern.New(`^ip_netns_exec_([^_]+(?:_[^_]+)*?)_((?:/s?bin/|/usr/s?bin/)?(?:ip|iptables|ip6tables|nft|conntrack|sysctl|netstat|ss|ipset|route|iptables-save|ip6tables-save|ethtool)(?:_.*)?)$`)
	dirNetns  = pattern.New(`(?:^|/)namespaces/([^/]+)/`)
)

// netnsOf is the network namespace that a file of a sos report is of, "" for
// the machine's own.
func netnsOf(name string) string {
	if m := execNetns.FindStringSubmatch(base(name)); m != nil {
		return m[1]
	}
	if m := dirNetns.FindStringSubmatch(name); m != nil {
		return m[1]
	}
	return ""
}

// commandOf is the command whose output a sos report keeps under that name:
// blanks are underscores there.
func commandOf(name string) string {
	file := base(name)
	if m := execNetns.FindStringSubmatch(file); m != nil {
		file = m[2]
	}
	for _, ext := range []string{".txt", ".log", ".out"} {
		file = strings.TrimSuffix(file, ext)
	}
	file = strings.ReplaceAll(file, ".", "/") // what a path has become
	command := strings.ReplaceAll(file, "_", " ")
	if !strings.Contains(command, " ") || !isCommand(command) {
		return ""
	}
	return command
}
