package bundle

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Info is what a bundle says of itself.
type Info struct {
	Tool, Version string
	Created       time.Time
	Machine       Machine
	Command       []string   // the command line
	Redaction     *Redaction // nil when nothing is hidden
	MaxBytes      int64      // of the finished file; 0 for DefaultMaxBytes
	// Flows is how many entries are expected, of all namespaces and rounds
	// together: what each round may take of the file is its part of them. 0 when
	// that is not known.
	Flows uint64
}

// Writer writes a bundle. It takes constant memory, and is for one goroutine.
//
// Each member, or a part of one, is a zstd frame of its own (RFC 8878, 3.1:
// frames may follow one another), so that its size in the file is known before
// it is written: the file never grows beyond Info.MaxBytes. The end of the
// file and a quarter of an eighth … is kept for what is not flows.
type Writer struct {
	out      io.Writer
	info     Info
	manifest Manifest
	written  int64
	unpacked int64  // bytes of the archive, about
	expected uint64 // entries that are still to come
	flows    *FlowWriter
	seen     map[string]bool
	enc      *zstd.Encoder // of whole blocks
	stream   *zstd.Encoder // of members whose length is not known
	err      error
}

var encoderOptions = []zstd.EOption{
	zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1 << 20), zstd.WithLowerEncoderMem(true),
}

// NewWriter begins a bundle.
func NewWriter(out io.Writer, info Info) (*Writer, error) {
	if info.MaxBytes == 0 {
		info.MaxBytes = DefaultMaxBytes
	}
	if info.MaxBytes < MinMaxBytes {
		return nil, fmt.Errorf("bundle: at most %d bytes: want at least %d", info.MaxBytes, MinMaxBytes)
	}
	w := &Writer{out: out, info: info, expected: info.Flows, seen: map[string]bool{}}
	w.manifest = Manifest{
		Schema: Schema, Format: Format, Tool: info.Tool, Version: info.Version, Created: info.Created,
		Machine: info.Machine, Asked: Asked{Command: info.Command, MaxBytes: info.MaxBytes}, Redaction: info.Redaction,
		Namespaces: []Namespace{}, Missing: []host.Missing{}, Truncated: []Truncated{}, Members: []Member{},
	}
	var err error
	if w.enc, err = zstd.NewWriter(nil, encoderOptions...); err != nil {
		return nil, err
	}
	if w.stream, err = zstd.NewWriter(nil, encoderOptions...); err != nil {
		return nil, err
	}
	doc, err := json.Marshal(formatDoc{Schema: Schema, Format: Format, Tool: info.Tool, Version: info.Version})
	if err != nil {
		return nil, err
	}
	return w, w.document(formatName, doc)
}

// Redacted sets what is said of the redaction, which may be known only when
// all was redacted.
func (w *Writer) Redacted(r Redaction) { w.manifest.Redaction = &r }

// Missing names things that could not be read, of no namespace.
func (w *Writer) Missing(m ...host.Missing) { w.manifest.Missing = append(w.manifest.Missing, m...) }

// Text writes a text for people that is of no namespace; as NamespaceWriter.Text.
func (w *Writer) Text(name string, write func(io.Writer) error) error { return w.text("", name, write) }

// Close writes the manifest and ends the archive. It does not close the
// io.Writer.
func (w *Writer) Close() error {
	if err := w.ready(); err != nil {
		return err
	}
	w.err = errors.New("bundle: the writer is closed")
	doc, err := json.MarshalIndent(&w.manifest, "", " ")
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	doc = append(doc, '\n')
	b, err := tarHeader(manifestName, int64(len(doc)), w.info.Created)
	if err != nil {
		return fmt.Errorf("bundle: %w", err)
	}
	b = append(b, doc...)
	b = append(b, make([]byte, padding(int64(len(doc)))+2*blockSize)...)
	return w.put(w.enc.EncodeAll(b, nil))
}

// ready tells whether a member can begin.
func (w *Writer) ready() error {
	if w.err == nil && w.flows != nil {
		return fmt.Errorf("bundle: %s is not closed", w.flows.dir)
	}
	return w.err
}

// put writes what is compressed.
func (w *Writer) put(b []byte) error {
	n, err := w.out.Write(b)
	w.written += int64(n)
	if err != nil {
		w.err = fmt.Errorf("bundle: %w", err)
		return w.err
	}
	return nil
}

// room is how many bytes the file has left for anything but the manifest.
func (w *Writer) room() int64 { return w.info.MaxBytes - w.written - w.manifestBound() }

// manifestBound is what the manifest takes at most: what it has, uncompressed,
// and what a round that is open may add.
func (w *Writer) manifestBound() int64 {
	rest := w.manifest
	rest.Members = nil
	doc, err := json.MarshalIndent(&rest, "", " ")
	if err != nil {
		w.err = fmt.Errorf("bundle: %w", err)
	}
	n := int64(len(doc)) + memberBound*int64(len(w.manifest.Members)+4) + 4*blockSize
	if w.flows != nil {
		n += min(w.info.MaxBytes/16, maxListed*stratumBound)
	}
	return n
}

// flowRoom is how many bytes flows may still take: an eighth of the file is
// left to what comes after them.
func (w *Writer) flowRoom() int64 { return max(0, w.room()-w.info.MaxBytes/8) }

// document writes a JSON document.
func (w *Writer) document(name string, doc []byte) error {
	m := w.member(name)
	if _, err := m.Write(doc); err != nil {
		return err
	}
	return m.close()
}
