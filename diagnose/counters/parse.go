package counters

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Reading is what a file held: one reading of the counters, or several.
type Reading struct {
	// Stats is the last, or what was counted between the first and the last.
	Stats Stats
	// First is what Stats is counted from, nil for since the namespace was made.
	First *Stats
	// Readings is how many there were.
	Readings int
	// Kernel and Seconds are what the file itself tells: a document of ntdiag
	// does. Seconds is 0 where it does not.
	Kernel  host.Release
	Seconds float64
	// Host names what a document is of.
	Host string
}

// maxFile bounds what is read: 4,096 CPUs have 1 MiB.
const maxFile = 64 << 20

// Read reads counters as conntrack -S of any version prints them, as
// /proc/net/stat/nf_conntrack of any kernel has them, or as ntdiag counters
// -o json and jsonl writes them. Of several readings one after the other it
// takes what was counted between the first and the last. name is the file's, for
// errors, which say what is wrong and in which line.
func Read(r io.Reader, name string) (*Reading, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(b) > maxFile:
		return nil, fmt.Errorf("%s: more than %d MiB: not counters", name, maxFile>>20)
	}
	var out *Reading
	b = bytes.TrimPrefix(b, []byte("\ufeff"))
	switch text := bytes.TrimLeft(b, " \t\r\n"); {
	case len(text) == 0:
		return nil, fmt.Errorf("%s: empty: want the output of conntrack -S, /proc/net/stat/nf_conntrack, or a document of ntdiag counters", name)
	case text[0] == '{':
		out, err = readDocuments(text)
	default:
		out, err = readText(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	out.Stats.Source = name
	return out, nil
}

// readText reads lines, of either sort.
func readText(b []byte) (*Reading, error) {
	var p parser
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, maxFile)
	n := 0
	for lines.Scan() {
		n++
		if err := p.line(strings.Fields(lines.Text())); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	return p.end()
}

// parser gathers readings. A CPU that comes again begins the next.
type parser struct {
	readings []Stats
	columns  []string // of the table of /proc, nil where it is text
	row      int      // of it
	proc     bool
}

var errWhat = errors.New("neither a line of conntrack -S (cpu=0 found=0 …) nor a row of /proc/net/stat/nf_conntrack below its header")

func (p *parser) line(words []string) error {
	switch {
	case len(words) == 0, strings.HasPrefix(words[0], "#"), strings.HasPrefix(words[0], "$"):
		return nil
	case words[0] == "entries" && len(words) > 1:
		p.columns, p.row, p.proc = words, 0, true
		return p.check(words)
	case strings.Contains(words[0], "="):
		p.columns = nil
		return p.pairs(words)
	case p.columns != nil:
		return p.hex(words)
	}
	return fmt.Errorf("%w: %.40q", errWhat, strings.Join(words[:min(3, len(words))], " "))
}

// check holds that the header is one: of what other files of /proc/net/stat
// have, nothing is a counter.
func (p *parser) check(words []string) error {
	known := 0
	for _, w := range words {
		if _, ok := byName(w); ok {
			known++
		}
	}
	if known < 5 {
		return fmt.Errorf("a header, but not that of nf_conntrack: %.40q", strings.Join(words[:min(4, len(words))], " "))
	}
	return nil
}

// hex is a row of the table: a CPU in the order of their numbers.
func (p *parser) hex(words []string) error {
	if len(words) != len(p.columns) {
		return fmt.Errorf("%d columns, the header has %d", len(words), len(p.columns))
	}
	c := CPU{CPU: p.row}
	p.row++
	var entries uint64
	for i, w := range words {
		n, err := strconv.ParseUint(w, 16, 32)
		if err != nil {
			return fmt.Errorf("%.40q: %.40q is no hexadecimal number of 32 bits", p.columns[i], w)
		}
		if p.columns[i] == "entries" {
			entries = n
		}
		if id, ok := byName(p.columns[i]); ok {
			c.Values[id], c.Has[id] = n, true
		}
	}
	s := p.add(c)
	s.Entries = entries
	s.Columns |= ColumnsProc
	return nil
}

// pairs is a line of conntrack -S: cpu=N, and counters. A long line may have
// been wrapped: what follows without a cpu goes on with the last. So does
// "entries", of conntrack -S that reads /proc.
func (p *parser) pairs(words []string) error {
	for i := 0; i < len(words); i++ {
		key, value, ok := strings.Cut(words[i], "=")
		if ok && value == "" && i+1 < len(words) && !strings.Contains(words[i+1], "=") {
			i++ // cpu= 0
			value = words[i]
		}
		if !ok || key == "" {
			return fmt.Errorf("%w: %.40q", errWhat, words[i])
		}
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return fmt.Errorf("%.40q: not a number of 32 bits", words[i])
		}
		if key == "cpu" {
			if n > maxCPU {
				return fmt.Errorf("cpu=%d: no such CPU", n)
			}
			p.add(CPU{CPU: int(n)})
			continue
		}
		if err := p.value(key, n); err != nil {
			return err
		}
	}
	return nil
}

// maxCPU is what nfgenmsg.res_id can name.
const maxCPU = 1<<16 - 1

func (p *parser) value(key string, n uint64) error {
	if len(p.readings) == 0 {
		// conntrack -S of the oldest versions, or one total, has no cpu=
		p.add(CPU{})
	}
	s := &p.readings[len(p.readings)-1]
	c := &s.CPUs[len(s.CPUs)-1]
	id, ok := byName(key)
	switch {
	case key == "entries":
		s.Entries, s.Columns = n, s.Columns|ColumnsProc
	case strings.HasPrefix(key, "expect_"): // ctnetlink's own, of expectations
	case !ok:
		return fmt.Errorf("%.40q: conntrack counts nothing of that name", key)
	case c.Has[id]:
		return fmt.Errorf("%s comes twice for cpu %d", key, c.CPU)
	default:
		c.Values[id], c.Has[id] = n, true
	}
	return nil
}

// add takes a CPU in: one that the last reading has begins another.
func (p *parser) add(c CPU) *Stats {
	n := len(p.readings)
	again := n == 0
	for i := 0; n > 0 && i < len(p.readings[n-1].CPUs); i++ {
		again = again || p.readings[n-1].CPUs[i].CPU == c.CPU
	}
	if again {
		p.readings = append(p.readings, Stats{})
		n++
	}
	s := &p.readings[n-1]
	s.CPUs = append(s.CPUs, c)
	return s
}

func (p *parser) end() (*Reading, error) {
	if len(p.readings) == 0 {
		return nil, errWhat
	}
	for i := range p.readings {
		empty := true
		for _, c := range p.readings[i].CPUs {
			empty = empty && c.Has == [Count]bool{}
		}
		if empty {
			return nil, fmt.Errorf("reading %d: no counter in it", i+1)
		}
	}
	return between(p.readings)
}

// between is what was counted from the first of the readings to the last.
func between(readings []Stats) (*Reading, error) {
	out := &Reading{Readings: len(readings)}
	for i := range readings {
		readings[i].Noted()
		if i == 0 {
			continue
		}
		if what, back := readings[i].Backwards(&readings[i-1]); back {
			return nil, fmt.Errorf("reading %d: %s: not of one boot and namespace, or not in order", i+1, what)
		}
	}
	last := &readings[len(readings)-1]
	out.Stats = *last
	if len(readings) > 1 {
		out.First = &readings[0]
		out.Stats = sum(readings)
	}
	return out, nil
}

// sum adds the steps, so that a counter may go round more than once.
func sum(readings []Stats) Stats {
	var out Stats
	for i := 1; i < len(readings); i++ {
		d := readings[i].Since(&readings[i-1])
		out = out.Plus(&d)
	}
	return out
}
