package stale_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"
)

// A case is a file of testdata/kernel. What stands before its files is one
// directive a line, # starts a comment:
//
//	iptables nft|legacy...       which iptables it is; each is a case
//	sysctl KEY=VALUE             on the router
//	listen tcp|udp PORT          the router answers on it
//	addr [HOST] DEV PREFIX       one more address of the router, or of a host
//	link HOST PREFIX DEV PREFIX  one more host behind a device of the router, both
//	                             with an address; it answers everything
//	PROTO HOST [SRC] > DST [noreply] [mark N] [zone N] [inserted] is EXPECTED
//	                             traffic before the change; PROTO tcp, udp or icmp;
//	                             HOST client, router, server or that of a link, with
//	                             @DEV a socket bound to a device; SRC
//	                             and DST an address, with or without port, that of an
//	                             icmp source its id; mark is the socket's, zone the
//	                             entry's; what is inserted is in the table already,
//	                             and only sent again
//	says N TEXT                  the verdict of the Nth flow, counted from 1, says TEXT,
//	                             or names it as not known
//	risks N RISK...              of deleting it
//
// EXPECTED is the verdict after the change, and what a new packet of the flow
// then gets from the kernel:
//
//	fresh [again any]
//	undecided again AGAIN
//	CLASS certain dnat|snat now TEXT [or TEXT]...
//	CLASS likely dnat|snat now TEXT [or TEXT]... again AGAIN
//	gone                         the kernel itself has dropped the entry
//
// where TEXT is what the end becomes, - when it is not rewritten, and AGAIN is
// same, other or none: the rewrite of the entry, another one, no entry. A fresh
// flow gets the same, a certain one what the verdict says.
//
// The files are played in their order, those with names that begin with "then"
// after the traffic, on the router: .nft is for nft, .sh for sh, with the tool
// in $iptables and $ip6tables; .v4 and .v6 are for the restore of iptables and
// ip6tables, and .ipset is for that of ipset.
type kernelCase struct {
	name     string
	flavours []string
	sysctl   []string
	listen   []string
	addrs    []devAddr
	links    []link
	flows    []*caseFlow
	first    []txtar.File
	then     []txtar.File
}

type devAddr struct {
	host   string
	dev    string
	prefix netip.Prefix
}

type link struct {
	host   string
	prefix netip.Prefix
	at     devAddr
}

type caseFlow struct {
	line              string
	proto, host, dev  string
	src, dst          netip.AddrPort
	noreply, inserted bool
	mark              uint32
	zone              int // -1 when not said
	want              expected
	says, risks       []string
}

type expected struct {
	fate, class, confidence, manip string
	now                            []string
	again                          string // same, other, none, any
}

func readCases(glob string) ([]*kernelCase, error) {
	paths, err := filepath.Glob(glob)
	if err != nil {
		return nil, err
	}
	var out []*kernelCase
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			return nil, err
		}
		c := &kernelCase{name: strings.TrimSuffix(filepath.Base(p), ".txtar"), flavours: []string{"nft"}}
		if err := c.parse(b); err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		out = append(out, c)
	}
	return out, nil
}

func (c *kernelCase) parse(b []byte) error {
	a := txtar.Parse(b)
	for line := range strings.Lines(string(a.Comment)) {
		line, _, _ = strings.Cut(line, "#")
		w := strings.Fields(line)
		if len(w) == 0 {
			continue
		}
		if err := c.directive(w); err != nil {
			return fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
		}
	}
	for _, f := range a.Files {
		if strings.HasPrefix(f.Name, "then") {
			c.then = append(c.then, f)
		} else {
			c.first = append(c.first, f)
		}
	}
	if len(c.flows) == 0 || len(a.Files) == 0 {
		return errors.New("needs rules and traffic")
	}
	return nil
}

func (c *kernelCase) directive(w []string) error {
	var err error
	switch n := len(w) - 1; {
	case w[0] == "iptables" && n > 0:
		c.flavours = w[1:]
	case w[0] == "sysctl" && n == 1:
		c.sysctl = append(c.sysctl, w[1])
	case w[0] == "listen" && n == 2:
		c.listen = append(c.listen, w[1]+" "+w[2])
	case w[0] == "addr" && (n == 2 || n == 3):
		a := devAddr{host: "router", dev: w[n-1]}
		if n == 3 {
			a.host = w[1]
		}
		a.prefix, err = netip.ParsePrefix(w[n])
		c.addrs = append(c.addrs, a)
	case w[0] == "link" && n == 4:
		l := link{host: w[1], at: devAddr{dev: w[3]}}
		var other error
		l.prefix, err = netip.ParsePrefix(w[2])
		l.at.prefix, other = netip.ParsePrefix(w[4])
		err = errors.Join(err, other)
		c.links = append(c.links, l)
	case (w[0] == "says" || w[0] == "risks") && n >= 2:
		i, err := strconv.Atoi(w[1])
		if err != nil || i < 1 || i > len(c.flows) {
			return errors.New("names no flow above it")
		}
		if f := c.flows[i-1]; w[0] == "says" {
			f.says = append(f.says, strings.Join(w[2:], " "))
		} else {
			f.risks = w[2:]
		}
	case w[0] == "tcp" || w[0] == "udp" || w[0] == "icmp":
		f := &caseFlow{line: strings.Join(w, " "), proto: w[0], zone: -1}
		err = f.parse(w[1:])
		c.flows = append(c.flows, f)
	default:
		return errors.New("no such directive")
	}
	return err
}

func (f *caseFlow) parse(w []string) error {
	at, is := slices.Index(w, ">"), slices.Index(w, "is")
	if at < 1 || at > 2 || is < at+2 {
		return errors.New("want PROTO HOST [SRC] > DST is EXPECTED")
	}
	f.host, f.dev, _ = strings.Cut(w[0], "@")
	var err error
	if at == 2 {
		if f.src, err = parseEnd(w[1]); err != nil {
			return err
		}
	}
	if f.dst, err = parseEnd(w[at+1]); err != nil {
		return err
	}
	for opts := w[at+2 : is]; len(opts) > 0; opts = opts[1:] {
		switch {
		case opts[0] == "noreply":
			f.noreply = true
		case opts[0] == "inserted":
			f.inserted = true
		case (opts[0] == "mark" || opts[0] == "zone") && len(opts) > 1:
			n, err := strconv.ParseUint(opts[1], 0, 31)
			if err != nil {
				return err
			}
			if opts[0] == "mark" {
				f.mark = uint32(n)
			} else {
				f.zone = int(n)
			}
			opts = opts[1:]
		default:
			return fmt.Errorf("option %q", opts[0])
		}
	}
	return f.want.parse(w[is+1:])
}

// parseEnd reads an address with or without a port.
func parseEnd(s string) (netip.AddrPort, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(a, 0), nil
	}
	return netip.ParseAddrPort(s)
}

func (e *expected) parse(w []string) error {
	if i := slices.Index(w, "again"); i >= 0 {
		if i+2 != len(w) || !slices.Contains([]string{"same", "other", "none", "any"}, w[i+1]) {
			return errors.New("again: want same, other or none, at the end")
		}
		e.again, w = w[i+1], w[:i]
	}
	switch {
	case len(w) == 1 && w[0] == "fresh":
		e.fate = w[0]
		if e.again == "" {
			e.again = "same"
		}
	case len(w) == 1 && w[0] == "undecided" && e.again != "", len(w) == 1 && w[0] == "gone":
		e.fate = w[0]
	case len(w) > 4 && w[3] == "now" && (w[1] == "certain" || w[1] == "likely" && e.again != ""):
		e.fate, e.class, e.confidence, e.manip = "stale", w[0], w[1], w[2]
		e.now = strings.Split(strings.Join(w[4:], " "), " or ")
		if e.again == "" {
			e.again = "other"
		}
	default:
		return errors.New("what is expected")
	}
	return nil
}
