package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ntdiag/ntdiag/diagnose/bundle"
	"github.com/ntdiag/ntdiag/diagnose/capture"
	ev "github.com/ntdiag/ntdiag/diagnose/evidence"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
)

// texts are the files of --conntrack, --iptables-save and the others: what other
// tools printed.
type texts struct {
	files map[string]*string // by flag
	open  *bundle.Source     // once they are read
}

func (a *app) evidenceFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	a.texts.files = map[string]*string{}
	for _, k := range ev.Kinds() {
		a.texts.files[k.Flag] = f.String(k.Flag, "", "work on a `FILE` of what \""+k.Example+"\" printed")
		_ = f.MarkHidden(k.Flag) // see: ntdiag help evidence
	}
}

// textFiles are the files given, in the order of help.
func (a *app) textFiles() []ev.Named {
	var out []ev.Named
	for _, k := range ev.Kinds() {
		if path := a.texts.files[k.Flag]; path != nil && *path != "" {
			out = append(out, ev.Named{Flag: k.Flag, Path: *path})
		}
	}
	return out
}

// fromTexts tells whether the command works on texts or on a bundle.
func (a *app) fromTexts() bool { return a.from != "" || len(a.textFiles()) > 0 }

// openTexts is what the files of other tools tell; where --from is a bundle
// they do not go with it.
func (a *app) openTexts(ctx context.Context) (capture.Source, error) {
	if a.texts.open != nil {
		return a.texts.open, nil
	}
	s, err := ev.Open(ctx, a.from, a.textFiles(), a.netns, os.Stdin, nftScratch)
	if err != nil {
		if ctx.Err() != nil {
			return nil, incomplete(err)
		}
		return nil, usage(err)
	}
	if a.from != "" && s.State().Snapshot.Hostname != "" {
		a.captured = newCaptured(nil, s)
	}
	a.texts.open = s
	return s, nil
}

// theFlow are the words that name the one flow of the texts, for a command that
// was given none.
func (a *app) theFlow(ctx context.Context) ([]string, error) {
	s, err := a.openTexts(ctx)
	if err != nil {
		return nil, err
	}
	var first host.Flow
	n := 0
	if _, err := s.Flows(ctx, capture.Filter{}, func(f *host.Flow) error {
		if n++; n == 1 {
			first = *f
		}
		return nil
	}); err != nil {
		return nil, incomplete(err)
	}
	switch n {
	case 0:
		return nil, usage(errors.New("no query, and no flow in what was given: name a flow, or give --conntrack FILE"))
	case 1:
		return flowWords(&first), nil
	}
	return nil, usage(fmt.Errorf("no query, and %d flows in what was given: name one", n))
}

// flowWords are the words of a query that name one flow.
func flowWords(f *host.Flow) []string {
	o := f.Original
	out := []string{"proto=" + query.ProtoName(o.Proto), "src=" + o.Src.String(), "dst=" + o.Dst.String()}
	switch {
	case f.IsICMP():
		typ, code := host.ICMPTypeCode(o)
		out = append(out, fmt.Sprintf("type=%d", typ), fmt.Sprintf("code=%d", code), fmt.Sprintf("id=%d", o.SrcPort))
	case f.HasPorts():
		out = append(out, fmt.Sprintf("sport=%d", o.SrcPort), fmt.Sprintf("dport=%d", o.DstPort))
	}
	if f.Zone != 0 && f.Has&host.HasZoneReply == 0 {
		out = append(out, fmt.Sprintf("zone=%d", f.Zone))
	}
	return out
}

func evidenceText() string {
	var b strings.Builder
	b.WriteString(`What other tools printed serves in place of the kernel, for every command that
only reads: explain, flows, rules, simulate, stale, counters, invalid.

  ntdiag explain --conntrack line.txt --iptables-save rules.txt
  ntdiag explain --from sosreport-gw-2026.tar.xz 10.0.0.10:5536

--from takes a directory or an archive (tar, packed or not) in the layout of a
sos report, of one network namespace of it with --netns, or any files and
pasted terminal output: each text is known by its content, or by the command
behind its prompt. These options name a file of one kind; - is standard input:

`)
	for _, k := range ev.Kinds() {
		listed(&b, 24, "--"+k.Flag+" FILE", k.Example)
	}
	b.WriteString(`
Lines of Windows, marks of a mail's quotation, prompts and line numbers do no
harm. explain without a query takes the flow of the file, where it is the only
one. Rules of nft are loaded into a user and network namespace made for it, and
read back: that needs nft, and a kernel that lets you make one. It loads no
module; text that wants one which is not there is refused.

What was not given is listed, and keeps the grade of an answer from being exact:
without addresses and routes nothing tells devices, nor which address is the
host's own. A line of conntrack tells of the status only what it prints; NAT is
taken for having been set up as the two tuples show. The time when an entry
began is printed in a zone of time that is not told, and left out.`)
	return b.String()
}
