package evidence

import (
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/rules/pattern"
)

// Kind is one kind of text that is understood.
type Kind struct {
	// Flag is the option that names a file of it, Example the command that
	// prints it.
	Flag, Example string
	// is tells it by its content; nil for what only an option or its command
	// tells.
	is func(s *section) bool
	// programs are the commands, each with the word that tells it from others of
	// that program.
	programs []string
	read     func(b *builder, s *section)
}

// kinds in the order in which a text is tried.
var kinds = []*Kind{
	{Flag: "conntrack", Example: "conntrack -L -o extended,id", is: anyLine(query.IsFlowLine), programs: []string{"conntrack -L", "conntrack -E"}, read: readFlows},
	{Flag: "conntrack-stats", Example: "conntrack -S", is: anyLine(isStats), programs: []string{"conntrack -S"}, read: readStats},
	{Flag: "nft", Example: "nft list ruleset", is: anyLine(nftTable.MatchString), programs: []string{"nft"}, read: readNft},
	{Flag: "iptables-save", Example: "iptables-save -c", is: anyLine(isSave), programs: []string{"iptables"}, read: readSave4},
	{Flag: "ip6tables-save", Example: "ip6tables-save -c", programs: []string{"ip6tables"}, read: readSave6},
	{Flag: "ipset", Example: "ipset save", is: anyLine(isIPSet), programs: []string{"ipset"}, read: readIPSets},
	{Flag: "ip-addr", Example: "ip -d addr", is: anyLine(func(s string) bool { return addrLine.MatchString(s) || linkLine.MatchString(s) }), programs: []string{"ip addr", "ip a", "ip address"}, read: readLinks},
	{Flag: "ip-link", Example: "ip -d link", programs: []string{"ip link", "ip l"}, read: readLinks},
	{Flag: "ip-rule", Example: "ip rule", is: anyLine(ruleLine.MatchString), programs: []string{"ip rule", "ip ru"}, read: readPolicy},
	{Flag: "ip-route", Example: "ip route show table all", is: anyLine(routeLine.MatchString), programs: []string{"ip route", "ip r", "route"}, read: readRoutes},
	{Flag: "sysctl", Example: "sysctl -a", is: anyLine(sysctlLine.MatchString), programs: []string{"sysctl"}, read: readSysctls},
	{Flag: "uname", Example: "uname -a", is: anyLine(unameLine.MatchString), programs: []string{"uname"}, read: readUname},
	{Flag: "dmesg", Example: "dmesg", is: anyLine(logLine.MatchString), programs: []string{"dmesg", "journalctl"}, read: readLog},
}

// Kinds lists the kinds of texts, in the order in which help has them.
func Kinds() []*Kind { return kinds }

var (
	nftTable   = pattern.New(`^\s*(add )?table (ip|ip6|inet|arp|bridge|netdev) \S+ \{`)
	ruleLine   = pattern.New(`^\s*\d+:\s+(not )?from `)
	routeLine  = pattern.New(`^\s*((default|local|broadcast|unreachable|blackhole|prohibit|anycast|multicast|unicast|[0-9a-f.:]+(/\d+)?)\s.*\b(dev|via|proto|scope|metric)\s|\d+(\.\d+){3}\s+\d+(\.\d+){3}\s+\d+(\.\d+){3}\s+[UGH!]+\s)`)
	sysctlLine = pattern.New(`^\s*net\.[a-z0-9_./-]+ ?= ?`)
	unameLine  = pattern.New(`^\s*Linux \S+ \d+\.\d+`)
	logLine    = pattern.New(`nf_ct_|nf_conntrack|\bSRC=\S+ DST=|^\[ *\d+\.\d{6}\]|\bkernel: `)
	saveLine   = pattern.New(`^\s*(\*(nat|filter|mangle|raw|security)\s*$|:\S+ (ACCEPT|DROP|-)( \[\d+:\d+\])?\s*$|(\[\d+:\d+\] )?-[AI] \S+ |-P \S+ (ACCEPT|DROP)|((/usr)?/sbin/)?ip6?tables(-legacy|-nft)? .*-[AI] )`)
)

func isSave(s string) bool { return saveLine.MatchString(s) }

func isStats(s string) bool {
	return strings.HasPrefix(strings.TrimSpace(s), "cpu=") && strings.Contains(s, "insert_failed=") ||
		strings.HasPrefix(strings.TrimSpace(s), "entries ") && strings.Contains(s, "searched")
}

func isIPSet(s string) bool {
	w := words(s)
	return len(w) > 2 && w[0] == "create" && (strings.Contains(w[2], ":")) || len(w) == 2 && w[0] == "Type:" && strings.Contains(w[1], ":")
}

// looked is how many lines are looked at to know a text.
const looked = 2000

func anyLine(is func(string) bool) func(*section) bool {
	return func(s *section) bool {
		for i, line := range s.lines {
			if i == looked {
				return false
			}
			if is(line) {
				return true
			}
		}
		return false
	}
}

// kindOf tells what a section is: by its command, then by its content.
func kindOf(s *section) *Kind {
	if s.command != "" {
		if k := kindOfCommand(s.command); k != nil {
			return k
		}
	}
	for _, k := range kinds {
		if k.is != nil && k.is(s) {
			return k
		}
	}
	return nil
}

func kindOfCommand(command string) *Kind {
	program := programOf(command)
	w := words(command)
	for _, k := range kinds {
		for _, p := range k.programs {
			name, word, two := strings.Cut(p, " ")
			if !two && strings.HasPrefix(program, name) && (name != "route" || program == name) && !strings.HasPrefix(program, "ipset") == !strings.HasPrefix(name, "ipset") {
				return k
			}
			if two && program == name {
				for _, x := range w {
					if x == word {
						return k
					}
				}
			}
		}
	}
	return nil
}
