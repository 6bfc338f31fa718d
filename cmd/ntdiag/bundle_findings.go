package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/collect"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/report"
)

// Bounds on what one command takes of a namespace, and on its answer: stale may
// have to tell of every entry, with just under 1 KiB each.
const (
	findingTime = 30 * time.Second
	findingSize = 16 << 20
)

// bundleFindings are the commands whose answers are kept, a row each. most is
// how large the table may be for one that reads it whole, which it does twice;
// 0 for any.
var bundleFindings = []struct {
	name string
	args []string
	most int
}{
	{"rules", []string{"rules", "--all"}, 1_000_000},
	{"stale", []string{"stale", "--all"}, 1_000_000},
	{"counters", []string{"counters"}, 0},
	{"invalid", []string{"invalid"}, 0},
	{"flows", []string{"flows", "--limit", "40"}, 0},
}

// kept is a source that stays open.
type kept struct{ *collect.Frozen }

func (kept) Close() error { return nil }

// findings has every command answer from what was collected.
func (r *bundleRun) findings(ctx context.Context, f *collect.Frozen, put func(name string, doc, text []byte) error) (undone []host.Missing, err error) {
	for _, c := range bundleFindings {
		what := "what " + c.name + " says"
		if c.most > 0 && f.Entries > c.most {
			undone = append(undone, host.Missing{What: what, Why: fmt.Sprintf("the table has %d entries: ntdiag %s --from FILE reads them", f.Entries, c.name)})
			continue
		}
		doc, text, err := answer(ctx, f, c.args)
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case errors.Is(err, errTooLong):
			undone = append(undone, host.Missing{What: what, Why: fmt.Sprintf("%v: ntdiag %s --from FILE gives it", err, c.name)})
			continue
		case err != nil:
			undone = append(undone, host.Missing{What: what, Why: strings.TrimSuffix(whyOf(err), withoutIt)})
			continue
		}
		if err := put(c.name, doc, text); err != nil {
			return nil, err
		}
	}
	if len(f.Samples) == 0 {
		return undone, nil
	}
	doc, text, err := explainSamples(ctx, f)
	if err != nil {
		return append(undone, host.Missing{What: "what explain says", Why: whyOf(err)}), nil
	}
	return undone, put("explain", doc, text)
}

// answer runs a command twice: as JSON and as text.
func answer(ctx context.Context, f *collect.Frozen, args []string) (doc, text []byte, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, findingTime, fmt.Errorf("not done within %v", findingTime))
	defer cancel()
	if doc, err = runOn(ctx, f, append([]string{"-o", "json"}, args...)); err != nil {
		return nil, nil, err
	}
	if !json.Valid(doc) {
		return nil, nil, errors.New("its answer was cut off")
	}
	if text, err = runOn(ctx, f, args); err != nil {
		text = nil // the document is there
	}
	return doc, text, nil
}

// runOn runs one command line on a source.
func runOn(ctx context.Context, f *collect.Frozen, args []string) ([]byte, error) {
	out := bounded{most: findingSize}
	root := newRoot(&app{source: kept{f}})
	root.SetArgs(append([]string{"--color", "never"}, args...))
	root.SetOut(&out)
	root.SetErr(&bytes.Buffer{})
	err := root.ExecuteContext(ctx)
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case out.full:
		return nil, errTooLong
	}
	// a code without words, and one for an answer that is not complete, go with
	// an answer
	if ce := (*codeError)(nil); errors.As(err, &ce) && ce.code != exitUsage && out.buf.Len() > 0 {
		err = nil
	}
	return out.buf.Bytes(), err
}

// bounded keeps what is written, and refuses to be longer than most.
type bounded struct {
	buf  bytes.Buffer
	most int
	full bool
}

var errTooLong = fmt.Errorf("its answer is longer than %d MiB", findingSize>>20)

func (b *bounded) Write(p []byte) (int, error) {
	if b.full = b.full || len(p) > b.most-b.buf.Len(); b.full {
		return 0, errTooLong
	}
	return b.buf.Write(p)
}

// explainSamples explains one flow of each way to be rewritten.
func explainSamples(ctx context.Context, f *collect.Frozen) (doc, text []byte, err error) {
	a := &app{source: kept{f}}
	q := &query.Query{Text: "one flow of each rewrite"}
	got := finding{}
	for i := range f.Samples {
		got.add(&f.Samples[i], query.FormOriginal)
	}
	answer, err := a.explainFound(ctx, f, q, got, false)
	if err != nil {
		return nil, nil, err
	}
	for _, out := range []struct {
		format string
		to     *[]byte
	}{{"json", &doc}, {report.Formats()[0], &text}} {
		format, err := report.FormatByName(out.format)
		if err != nil {
			return nil, nil, err
		}
		var b bytes.Buffer
		if err := format.Explain(&b, answer, report.Style{Width: maxWidth, Now: f.Now()}); err != nil {
			return nil, nil, err
		}
		*out.to = b.Bytes()
	}
	return doc, text, nil
}
