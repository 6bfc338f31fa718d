//go:build linux

package explain_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// A case is a file of testdata/oracle. What stands before its files is one
// directive a line, # starts a comment:
//
//	outside NAME                    the router's device towards the server
//	listen tcp|udp PORT             the router answers on it
//	listen-transparent PORT         as tcp, and for addresses that are not its own
//	run COMMAND ARG…                on the router, before the rules are loaded
//	sysctl KEY=VALUE                on the router
//	addr DEV PREFIX                 one more address of the router
//	addr-of HOST DEV PREFIX         one more address of another host
//	PROTO HOST [SRC] > DST [noreply] [mark N]
//	                                traffic; PROTO tcp, udp, icmp, other (protocol 253) or
//	                                ftp, HOST client, server or router; SRC and DST an
//	                                address, with or without port, that of an icmp source
//	                                its id; mark is the socket's
//	allow-ambiguous REASON          several rules may be named
//	allow-noted REASON              inferred may name another rule, if its note names the kernel's
//	want N dnat|snat CAUSE [GRADE]  of the Nth flow, counted from 1; "data" is FTP's
//	want N none                     it has no rewrite
//	says N TEXT                     a note on it, or why there is no rewrite, has TEXT; so
//	                                have "dnat via CHAIN…" and "snat marked by CHAIN…"
//
//	exact [N...]                    the rules of these flows, or of all, are named with grade exact
//
// rules.nft is loaded before the traffic, then.nft after it. rules.iptables
// holds command lines of iptables-nft and ip6tables-nft. rules.v4 and rules.v6
// are given to iptables-restore and ip6tables-restore of the flavour, after
// sets.ipset to ipset restore:
//
//	iptables nft|legacy...          which iptables it is; each is a case
//
// setup.sh has a real program make rules, see produce, and then.sh has it do
// something else after the traffic:
//
//	needs PROGRAM...                left out where one is missing
//	empty DIR...                    there is nothing in them for the program
//	root REASON                     it does not work as root of a user namespace
//	host NAME                       one more host, without links
type oracleCase struct {
	name           string
	outside        string
	listen         []listen
	transparent    []uint16
	run            [][]string
	sysctl         []string
	addrs          []devAddr
	traffic        []traffic
	wants          []want
	says           []said
	allowAmbiguous string
	allowNoted     string
	rules, then    string
	iptables       []string
	ipsets         string
	restore        map[string]string // by tool, iptables or ip6tables
	exact          map[string]bool   // by flow, "" for all

	setup      string
	thenScript string
	needs      []string
	empty      []string
	needsRoot  string // why
	flavours   []string
	flavour    string // the one of this run
	hostNames  []string
}

type listen struct {
	proto string
	port  uint16
}

type devAddr struct {
	host   string
	dev    string
	prefix netip.Prefix
}

type traffic struct {
	line     string
	proto    string
	host     string
	src, dst netip.AddrPort
	noreply  bool
	mark     uint32
}

type want struct {
	flow  string // "1", "2", …, or "data"
	kind  string // dnat, snat, none
	cause string
	grade string // "" for any
}

type said struct{ flow, text string }

func readCases(glob string) ([]*oracleCase, error) {
	paths, err := filepath.Glob(glob)
	if err != nil {
		return nil, err
	}
	var out []*oracleCase
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		c, err := parseCase(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		c.name = strings.TrimSuffix(filepath.Base(p), ".txtar")
		out = append(out, c)
	}
	return out, nil
}

// directives is one row a directive, with the number of words it takes at
// least.
var directives = map[string]struct {
	words int
	parse func(*oracleCase, []string) error
}{
	"outside": {1, func(c *oracleCase, w []string) error { c.outside = w[0]; return nil }},
	"sysctl":  {1, func(c *oracleCase, w []string) error { c.sysctl = append(c.sysctl, w[0]); return nil }},
	"listen": {2, func(c *oracleCase, w []string) error {
		port, err := strconv.ParseUint(w[1], 10, 16)
		c.listen = append(c.listen, listen{w[0], uint16(port)})
		return err
	}},
	"listen-transparent": {1, func(c *oracleCase, w []string) error {
		port, err := strconv.ParseUint(w[0], 10, 16)
		c.transparent = append(c.transparent, uint16(port))
		return err
	}},
	"run": {1, func(c *oracleCase, w []string) error { c.run = append(c.run, w); return nil }},
	"addr": {2, func(c *oracleCase, w []string) error {
		p, err := netip.ParsePrefix(w[1])
		c.addrs = append(c.addrs, devAddr{"router", w[0], p})
		return err
	}},
	"addr-of": {3, func(c *oracleCase, w []string) error {
		p, err := netip.ParsePrefix(w[2])
		c.addrs = append(c.addrs, devAddr{w[0], w[1], p})
		return err
	}},
	"needs":           {1, func(c *oracleCase, w []string) error { c.needs = append(c.needs, w...); return nil }},
	"empty":           {1, func(c *oracleCase, w []string) error { c.empty = append(c.empty, w...); return nil }},
	"root":            {1, func(c *oracleCase, w []string) error { c.needsRoot = strings.Join(w, " "); return nil }},
	"iptables":        {1, func(c *oracleCase, w []string) error { c.flavours = w; return nil }},
	"host":            {1, func(c *oracleCase, w []string) error { c.hostNames = append(c.hostNames, w[0]); return nil }},
	"exact":           {0, (*oracleCase).parseExact},
	"allow-noted":     {1, func(c *oracleCase, w []string) error { c.allowNoted = strings.Join(w, " "); return nil }},
	"allow-ambiguous": {1, func(c *oracleCase, w []string) error { c.allowAmbiguous = strings.Join(w, " "); return nil }},
	"want": {2, func(c *oracleCase, w []string) error {
		x := want{flow: w[0], kind: w[1]}
		if x.kind != "none" {
			if len(w) < 3 || len(w) > 4 {
				return fmt.Errorf("want: needs a cause, and perhaps a grade")
			}
			x.cause = w[2]
			if len(w) == 4 {
				x.grade = w[3]
			}
		}
		c.wants = append(c.wants, x)
		return nil
	}},
	"says": {2, func(c *oracleCase, w []string) error {
		c.says = append(c.says, said{w[0], strings.Join(w[1:], " ")})
		return nil
	}},
	"tcp":   {3, nil},
	"udp":   {3, nil},
	"icmp":  {3, nil},
	"ftp":   {3, nil},
	"other": {3, nil},
}

func parseCase(b []byte) (*oracleCase, error) {
	a := txtar.Parse(b)
	c := &oracleCase{outside: "s0", flavours: []string{"nft"}, flavour: "nft", restore: map[string]string{}, exact: map[string]bool{}}
	for line := range strings.Lines(string(a.Comment)) {
		line, _, _ = strings.Cut(line, "#")
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		d, ok := directives[w[0]]
		if !ok || len(w)-1 < d.words {
			return nil, fmt.Errorf("directive %q", line)
		}
		parse := d.parse
		if parse == nil {
			parse = func(c *oracleCase, rest []string) error { return c.parseTraffic(w[0], rest) }
		}
		if err := parse(c, w[1:]); err != nil {
			return nil, fmt.Errorf("directive %q: %w", line, err)
		}
	}
	for _, f := range a.Files {
		switch f.Name {
		case "rules.nft":
			c.rules = string(f.Data)
		case "then.nft":
			c.then = string(f.Data)
		case "sets.ipset":
			c.ipsets = string(f.Data)
		case "rules.v4":
			c.restore["iptables"] = string(f.Data)
		case "rules.v6":
			c.restore["ip6tables"] = string(f.Data)
		case "then.sh":
			c.thenScript = string(f.Data)
		case "setup.sh":
			c.setup = string(f.Data)
		case "rules.iptables":
			c.iptables = slices.Collect(strings.Lines(string(f.Data)))
		default:
			return nil, fmt.Errorf("file %q is not known", f.Name)
		}
	}
	if c.rules == "" && len(c.iptables)+len(c.restore) == 0 && c.setup == "" || len(c.traffic) == 0 {
		return nil, fmt.Errorf("needs rules and traffic")
	}
	return c, nil
}

func (c *oracleCase) parseExact(w []string) error {
	if len(w) == 0 {
		w = []string{""}
	}
	for _, flow := range w {
		c.exact[flow] = true
	}
	return nil
}

func (c *oracleCase) parseTraffic(proto string, w []string) error {
	t := traffic{line: proto + " " + strings.Join(w, " "), proto: proto, host: w[0]}
	at := slices.Index(w, ">")
	if at < 1 || at+1 >= len(w) {
		return fmt.Errorf("want HOST [SRC] > DST")
	}
	var err error
	if at == 2 {
		if t.src, err = parseEnd(w[1]); err != nil {
			return err
		}
	}
	if t.dst, err = parseEnd(w[at+1]); err != nil {
		return err
	}
	for opts := w[at+2:]; len(opts) > 0; opts = opts[1:] {
		switch {
		case opts[0] == "noreply":
			t.noreply = true
		case opts[0] == "mark" && len(opts) > 1:
			mark, err := strconv.ParseUint(opts[1], 0, 32)
			if err != nil {
				return err
			}
			t.mark, opts = uint32(mark), opts[1:]
		default:
			return fmt.Errorf("option %q", opts[0])
		}
	}
	c.traffic = append(c.traffic, t)
	return nil
}

// parseEnd reads an address with or without a port.
func parseEnd(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0), nil
	}
	return netip.ParseAddrPort(s)
}
