package plain

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/nft"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// Text is one text of a namespace. Write writes nothing where there is nothing.
type Text struct {
	Name  string // of a file
	As    string // the command whose output it is like
	Write func(w io.Writer, s *bundle.State) error
}

// Texts are all of them but the flows, which are no part of a State.
var Texts = []Text{
	{"ruleset.nft", "nft list ruleset", func(w io.Writer, s *bundle.State) error { return write(w, nft.RulesetText(s.Snapshot.Rules)) }},
	{"iptables-nft-save.txt", "iptables-nft-save", tables(rules.BackendIptablesNft, rules.FamilyIPv4)},
	{"ip6tables-nft-save.txt", "ip6tables-nft-save", tables(rules.BackendIptablesNft, rules.FamilyIPv6)},
	{"iptables-legacy-save.txt", "iptables-legacy-save", tables(rules.BackendIptablesLegacy, rules.FamilyIPv4)},
	{"ip6tables-legacy-save.txt", "ip6tables-legacy-save", tables(rules.BackendIptablesLegacy, rules.FamilyIPv6)},
	{"ipset-save.txt", "ipset save", ipsets},
	{"conntrack-expect.txt", "conntrack -L expect", expectations},
	{"conntrack-stats.txt", "conntrack -S", func(w io.Writer, s *bundle.State) error { return reading(w, s, len(s.Readings)-1) }},
	{"conntrack-stats-before.txt", "conntrack -S", func(w io.Writer, s *bundle.State) error { return reading(w, s, len(s.Readings)-2) }},
	{"ip-addr.txt", "ip addr", func(w io.Writer, s *bundle.State) error { return Addresses(w, s.Snapshot) }},
	{"ip-route.txt", "ip route show table all", func(w io.Writer, s *bundle.State) error { return Routes(w, s.Snapshot) }},
	{"ip-rule.txt", "ip rule", policies(rules.FamilyIPv4)},
	{"ip-6-rule.txt", "ip -6 rule", policies(rules.FamilyIPv6)},
	{"ip-neigh.txt", "ip neigh", func(w io.Writer, s *bundle.State) error { return Neighbours(w, s.Snapshot, s.Neighbours) }},
	{"ip-xfrm-policy.txt", "ip xfrm policy", func(w io.Writer, s *bundle.State) error { return XfrmPolicies(w, s.Snapshot, s.Xfrm) }},
	{"sysctl.txt", "sysctl -a", func(w io.Writer, s *bundle.State) error { return Sysctls(w, s.Snapshot) }},
	{"dmesg.txt", "dmesg --time-format iso", func(w io.Writer, s *bundle.State) error { return Log(w, s.Log) }},
}

func write(w io.Writer, s string) error {
	_, err := io.WriteString(w, s)
	return err
}

// tables are those of a backend, in the kernel's order.
func tables(b rules.Backend, f rules.Family) func(io.Writer, *bundle.State) error {
	return func(w io.Writer, s *bundle.State) error {
		for _, t := range s.Snapshot.Rules.Tables {
			if t.Backend == b && t.Family == f {
				if err := write(w, xt.TableText(t)); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

func ipsets(w io.Writer, s *bundle.State) error {
	// a list:set comes after its members, as it has to when it is restored
	sets := slices.Clone(s.Snapshot.Rules.IPSets)
	slices.SortStableFunc(sets, func(a, b *rules.IPSet) int {
		return cmp.Compare(strings.Index(a.Type, "list:"), strings.Index(b.Type, "list:"))
	})
	for _, set := range sets {
		if err := write(w, set.Save()); err != nil {
			return err
		}
	}
	return nil
}

func expectations(w io.Writer, s *bundle.State) error {
	var b []byte
	for i := range s.Expectations {
		b = AppendExpectation(b, &s.Expectations[i])
	}
	_, err := w.Write(b)
	return err
}

func reading(w io.Writer, s *bundle.State, i int) error {
	if i < 0 || s.Readings[i].Stats == nil {
		return nil
	}
	return Counters(w, s.Readings[i].Stats)
}

func policies(f rules.Family) func(io.Writer, *bundle.State) error {
	return func(w io.Writer, s *bundle.State) error { return PolicyRules(w, s.Snapshot, f) }
}

// Sysctls writes the settings that are known, by key, as sysctl does.
func Sysctls(w io.Writer, s *host.Snapshot) error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(s.Sysctls)) {
		if f := s.Sysctls[key]; f.OK {
			_, err := fmt.Fprintf(w, "%s = %s\n", key, f.Value)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Log writes lines of the kernel's log with the time of day, in UTC. A newline
// within a message is \x0a, as in /dev/kmsg.
func Log(w io.Writer, lines []bundle.LogLine) error {
	for i := range lines {
		l := &lines[i]
		at := l.At.UTC().Format("2006-01-02T15:04:05,000000+00:00 ")
		if l.At.Equal(time.Time{}) {
			at = ""
		}
		if err := write(w, at+strings.ReplaceAll(l.Text, "\n", `\x0a`)+"\n"); err != nil {
			return err
		}
	}
	return nil
}
