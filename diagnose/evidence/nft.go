package evidence

import (
	"context"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// nftRefused notes that the rules of a text are not known, and why.
func (b *builder) nftRefused(s *section, why string) {
	b.snap.Missing = append(b.snap.Missing, host.Missing{
		What: host.PartNft,
		Why:  "the rules of " + s.file + " are not known: the kernel has to load them, in a network namespace of their own, and " + why,
	})
}

// addNft adds the tables that the kernel has of a text, but those that
// iptables-nft made, of which a text of iptables-save tells the same.
func (b *builder) addNft(rs *rules.Ruleset, text string) {
	b.snap.Rules.Order = rs.Order
	b.snap.Order = rs.Order
	for _, t := range rs.Tables {
		t.Ruleset = b.snap.Rules
		b.snap.Rules.Tables = append(b.snap.Rules.Tables, t)
	}
	if b.snap.Rules.DeviceName == nil {
		b.snap.Rules.DeviceName = rs.DeviceName
	}
	if strings.Contains(text, " xt ") {
		b.problems = append(b.problems, "the nft text has rules of iptables' own extensions, which it does not tell: give iptables-save too")
	}
}

// Scratch loads a text of nft into a network namespace of its own, and reads
// back what the kernel has of it. Devices are those that it may name.
type Scratch func(ctx context.Context, text string, devices []string) (*rules.Ruleset, error)

// loadNft reads the texts of nft.
func (b *builder) loadNft(ctx context.Context) {
	var devices []string
	for _, l := range b.snap.Links {
		devices = append(devices, l.Name)
	}
	for _, s := range b.nft {
		if b.scratch == nil {
			b.nftRefused(s, "this program cannot make one")
			continue
		}
		rs, err := b.scratch(ctx, s.text(), devices)
		if err != nil {
			b.nftRefused(s, err.Error())
			continue
		}
		b.addNft(rs, s.text())
	}
}
