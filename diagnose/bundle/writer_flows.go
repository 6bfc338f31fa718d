package bundle

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// FlowOptions are how a round of flows is written.
type FlowOptions struct {
	At     time.Time
	Expect uint64 // entries that the table has, 0 when not known
	// Line appends a flow as people read it: one line, ended by a line feed. nil:
	// no text.
	Line func(b []byte, f *host.Flow) []byte
	// Stratum appends the name of what has to keep some of its flows when not all
	// can be kept, at most 120 bytes. nil: AppendStratum.
	Stratum func(b []byte, f *host.Flow) []byte
}

// FlowWriter writes one round of flows. While one part is compressed the next
// is filled; nothing is allocated for a flow.
type FlowWriter struct {
	n       *NamespaceWriter
	round   int
	dir     string
	opt     FlowOptions
	s       *sampler
	name    []byte // of a stratum
	room    int64  // bytes of the file that the round may take
	used    int64
	packed  uint64
	part    int // bytes after which one is cut
	cur     *flowPart
	other   *flowPart
	pending chan packing // the result for other, nil when nothing is under way
	parts   int
	err     error
}

// flowPart is some flows, in both forms. A form begins with room for the
// header of its member.
type flowPart struct {
	json, text form
	strata     []uint32 // of each flow
}

type form struct {
	raw  []byte // header and data
	out  []byte // compressed
	sum  [sha256.Size]byte
	name string
	size int64
}

// packing is what came of compressing a part.
type packing struct {
	part *flowPart
	err  error
}

// Flows begins a round of flows, 1 or 2: nothing else can be written before it
// is closed.
func (n *NamespaceWriter) Flows(round int, opt FlowOptions) (*FlowWriter, error) {
	w := n.w
	if err := w.ready(); err != nil {
		return nil, err
	}
	for _, r := range n.entry().Rounds {
		if r.Round == round {
			return nil, fmt.Errorf("bundle: round %d of %s is written twice", round, n.dir)
		}
	}
	if opt.Stratum == nil {
		opt.Stratum = AppendStratum
	}
	f := &FlowWriter{n: n, round: round, opt: opt, dir: fmt.Sprintf("%s/flows-%d", n.dir, round), s: newSampler(opt.Expect)}
	w.flows = f
	f.room = w.flowRoom() / 2
	if opt.Expect > 0 && w.expected > 0 {
		f.room = int64(float64(w.flowRoom()) * min(1, float64(opt.Expect)/float64(w.expected)))
		w.expected -= min(w.expected, opt.Expect)
	}
	f.part = int(min(partBytes, max(minPartBytes, f.room/4)))
	f.cur, f.other = newFlowPart(f.part), newFlowPart(f.part)
	return f, nil
}

func newFlowPart(size int) *flowPart {
	p := &flowPart{}
	p.json.raw = make([]byte, blockSize, size+maxLine)
	p.text.raw = make([]byte, blockSize, size+maxLine)
	return p
}

// Add writes a flow, or counts it as left out. The struct may be used again.
func (f *FlowWriter) Add(flow *host.Flow) error {
	if f.err != nil {
		return f.err
	}
	f.name = f.opt.Stratum(f.name[:0], flow)
	stratum, keep := f.s.keep(flow, f.name)
	if !keep {
		return nil
	}
	p := f.cur
	p.strata = append(p.strata, stratum)
	before := len(p.json.raw)
	p.json.raw = append(flowjson.Append(p.json.raw, flow), '\n')
	if n := len(p.json.raw) - before; n > maxLine {
		f.err = fmt.Errorf("bundle: %s: a flow of %d bytes", f.dir, n)
		return f.err
	}
	if f.opt.Line != nil {
		p.text.raw = f.opt.Line(p.text.raw, flow)
	}
	if len(p.json.raw)+maxLine/2 < f.part && len(p.text.raw)+maxLine/2 < f.part {
		return nil
	}
	return f.cut()
}

// cut has the part compressed, and goes on with the other.
func (f *FlowWriter) cut() error {
	if err := f.wait(); err != nil || len(f.cur.strata) == 0 {
		return err
	}
	f.parts++
	p := f.cur
	p.json.name = fmt.Sprintf("%s/%04d.jsonl", f.dir, f.parts)
	p.text.name = fmt.Sprintf("%s/text/conntrack-%d/%04d.txt", f.n.dir, f.round, f.parts)
	f.cur, f.other = f.other, p
	f.pending = make(chan packing, 1)
	go func(done chan<- packing) { done <- packing{p, f.pack(p)} }(f.pending)
	return nil
}

// pack compresses both forms.
func (f *FlowWriter) pack(p *flowPart) error {
	if err := p.json.pack(f.n.w); err != nil {
		return err
	}
	return p.text.pack(f.n.w)
}

func (o *form) pack(w *Writer) error {
	o.out = o.out[:0]
	if len(o.raw) == blockSize {
		return nil
	}
	if !utf8.Valid(o.raw[blockSize:]) {
		data := append([]byte(nil), o.raw[blockSize:]...)
		o.raw, _ = appendEscaped(o.raw[:blockSize], data) // it ends with a line feed
	}
	o.size = int64(len(o.raw) - blockSize)
	o.sum = sha256.Sum256(o.raw[blockSize:])
	header, err := tarHeader(o.name, o.size, w.info.Created)
	if err != nil {
		return fmt.Errorf("bundle: %s: %w", o.name, err)
	}
	copy(o.raw, header)
	full := append(o.raw, zeros[:padding(o.size)]...)
	o.out = w.enc.EncodeAll(full, o.out)
	o.raw = full[:len(o.raw)]
	return nil
}

var zeros [blockSize]byte

// wait takes what was compressed into the archive: as many flows of it as fit.
func (f *FlowWriter) wait() error {
	if f.pending == nil {
		return f.err
	}
	done := <-f.pending
	f.pending = nil
	f.err = done.err
	p := done.part
	for f.err == nil && len(p.strata) > 0 && (p.bytes() > f.left() || !f.n.w.believed(p.json.size+p.text.size, p.bytes())) {
		f.halve(p)
		f.err = f.pack(p)
	}
	if f.err == nil && len(p.strata) > 0 {
		f.err = f.put(p)
	}
	p.clear()
	f.s.adapt(f.left(), f.room/8, f.used, f.packed)
	return f.err
}

// left is what the round may still take.
func (f *FlowWriter) left() int64 {
	return max(0, min(f.room-f.used, f.n.w.room()-2*memberBound))
}

func (f *FlowWriter) put(p *flowPart) error {
	for _, o := range []*form{&p.json, &p.text} {
		if len(o.out) == 0 {
			continue
		}
		if err := f.n.w.put(o.out); err != nil {
			return err
		}
		f.n.w.listed(Member{Name: o.name, Size: o.size, SHA256: hex.EncodeToString(o.sum[:]), Records: uint64(len(p.strata))})
	}
	f.used += p.bytes()
	f.packed += uint64(len(p.strata))
	return nil
}

// halve leaves out the second half of a part that does not fit.
func (f *FlowWriter) halve(p *flowPart) {
	keep := len(p.strata) / 2
	for _, i := range p.strata[keep:] {
		f.s.drop(i)
	}
	p.strata = p.strata[:keep]
	p.json.lines(keep)
	p.text.lines(keep)
}

// lines cuts a form after n lines.
func (o *form) lines(n int) {
	at := blockSize
	for ; n > 0 && at < len(o.raw); at++ {
		if o.raw[at] == '\n' {
			n--
		}
	}
	o.raw = o.raw[:at]
}

func (p *flowPart) bytes() int64 { return int64(len(p.json.out) + len(p.text.out)) }

func (p *flowPart) clear() {
	p.strata = p.strata[:0]
	p.json.raw, p.text.raw = p.json.raw[:blockSize], p.text.raw[:blockSize]
}

// Close ends the round: info is what the dump had to say.
func (f *FlowWriter) Close(info capture.FlowsInfo) error {
	err := f.cut()
	if e := f.wait(); err == nil {
		err = e
	}
	f.n.w.flows = nil
	r := Round{Round: f.round, At: f.opt.At, Unparsed: info.Unparsed, Why: info.Why}
	if t := &info.Turnover; t.Resized() {
		r.Resized = []uint64{t.BucketsBefore, t.BucketsAfter}
	}
	f.s.report(&r)
	f.n.entry().Rounds = append(f.n.entry().Rounds, r)
	if f.err == nil {
		f.err = fmt.Errorf("bundle: %s is closed", f.dir)
	}
	return err
}
