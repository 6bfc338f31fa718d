package evidence

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/pattern"
)

// Scratch loads a text of nft into a network namespace of its own, in which the
// devices that it may name are made by their indexes, and reads back what the
// kernel has of it.
type Scratch func(ctx context.Context, text string, devices map[uint32]string) (*rules.Ruleset, error)

// nftRefused notes that the rules of a text are not known, and why.
func (b *builder) nftRefused(s *section, why string) {
	b.snap.Missing = append(b.snap.Missing, host.Missing{
		What: host.PartNft,
		Why:  "the rules of " + s.file + " are not known: a kernel has to load them, in a namespace of its own: " + why,
	})
}

// loadNft reads the texts of nft. Only the kernel reads them as it does: one is
// loaded, and what it came to is taken.
//
// It comes after iptables-save, whose rules are of the same order of bytes.
func (b *builder) loadNft(ctx context.Context) {
	for _, s := range b.nft {
		text, dropped := withoutXT(s.lines)
		if dropped && len(b.saves) == 0 {
			b.nftRefused(s, "it has rules of iptables' extensions, which its text does not tell: give iptables-save")
		}
		if strings.TrimSpace(text) == "" {
			continue
		}
		if nftInclude.MatchString(text) {
			b.nftRefused(s, "it includes other files")
			continue
		}
		if b.scratch == nil {
			b.nftRefused(s, "this program cannot make one")
			continue
		}
		devices := b.devicesOf(text)
		rs, err := b.scratch(ctx, text, devices)
		if err != nil {
			b.nftRefused(s, err.Error())
			continue
		}
		ownHandles(s.lines, rs.Tables)
		for _, t := range rs.Tables {
			b.withoutTwice(t)
			t.Ruleset = b.snap.Rules
			b.snap.Rules.Tables = append(b.snap.Rules.Tables, t)
		}
		for _, index := range slices.Sorted(maps.Keys(devices)) {
			b.standIn(index, devices[index])
		}
	}
}

var (
	nftInclude = pattern.New(`(?m)^\s*include\b`)
	nftDevice  = pattern.New(`"([^"*\\/\s]{1,15})"`)
	nftNames   = pattern.New(`\b(iif|oif|iifname|oifname|devices?|sdif)\b`)
	nftXT      = pattern.New(`\bxt (match|target)\b`)
)

// withoutXT is the text without the tables that hold extensions of iptables:
// nft prints no more than their names.
func withoutXT(lines []string) (text string, dropped bool) {
	var out, table []string
	in, xt := false, false
	for _, s := range lines {
		if nftTable.MatchString(s) {
			in, xt, table = true, false, nil
		}
		if !in {
			out = append(out, s)
			continue
		}
		table = append(table, s)
		xt = xt || nftXT.MatchString(s)
		if s == "}" {
			if in = false; !xt {
				out = append(out, table...)
			}
			dropped = dropped || xt
		}
	}
	if in {
		out = append(out, table...)
	}
	return strings.Join(out, "\n") + "\n", dropped
}

// maxDevices is how many devices are made for a text.
const maxDevices = 512

// devicesOf are the devices that a text may name, by their indexes: those of
// the host as they are, others behind them.
func (b *builder) devicesOf(text string) map[uint32]string {
	out := map[uint32]string{}
	index := map[string]uint32{"lo": 1}
	next := uint32(2)
	for _, l := range b.snap.Links {
		index[l.Name] = l.Index
		next = max(next, l.Index+1)
	}
	for line := range strings.Lines(text) {
		if !nftNames.MatchString(line) {
			continue
		}
		for _, m := range nftDevice.FindAllStringSubmatch(line, -1) {
			name := m[1]
			if index[name] == 0 {
				index[name] = next
				next++
			}
			if name != "lo" && len(out) < maxDevices {
				out[index[name]] = name
			}
		}
	}
	return out
}

// standIn adds a device of which nothing but its name is known, unless it is.
func (b *builder) standIn(index uint32, name string) {
	if !slices.ContainsFunc(b.snap.Links, func(l rules.Link) bool { return l.Name == name }) {
		b.snap.Links = append(b.snap.Links, rules.Link{Index: index, Name: name, Up: true, Type: typeByName(name)})
	}
}
