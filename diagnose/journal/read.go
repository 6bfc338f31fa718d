package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
)

// Journal is what was read of a file.
type Journal struct {
	Header
	Entries []Entry
	// Undone is when all of it was put back, zero when it was not.
	Undone time.Time
	// Torn says how many bytes at the end are no record: the writer was killed
	// while it wrote. Nothing that they name was deleted.
	Torn int64

	end int64 // of the last whole record, in bytes
}

// Entry is one intent with what came of it; Result and Restore are nil where
// nothing is told.
type Entry struct {
	Intent
	Result  *Result
	Restore *Restore
}

// maxLine bounds a line, in bytes: an intent has about 1,000.
const maxLine = 1 << 20

// Read reads a journal. Bytes at the end that are no record are told in Torn;
// anywhere else they are an error that names the line.
func Read(r io.Reader) (*Journal, error) {
	j := &Journal{}
	in := bufio.NewReaderSize(r, 64<<10)
	var torn error
	for n := 1; ; n++ {
		line, size, err := readLine(in)
		switch {
		case err == io.EOF && size == 0:
			if n == 1 {
				return nil, errors.New("line 1: empty: no journal")
			}
			return j, nil
		case err != nil && err != io.EOF && !errors.Is(err, errLong):
			return nil, err
		}
		if err == nil {
			err = j.line(n, line)
		}
		untrue := errors.As(err, new(*contradiction))
		switch {
		case err != nil && n == 1:
			return nil, fmt.Errorf("line 1: no header of a journal (want schema %s)", Schema)
		case torn != nil && (err == nil || untrue):
			// a record behind it: that was no writer that was killed
			return nil, torn
		case untrue:
			return nil, fmt.Errorf("line %d: %w", n, err)
		case err == nil:
			j.end += size
		default:
			if j.Torn += size; torn == nil {
				torn = fmt.Errorf("line %d: %w", n, err)
			}
		}
	}
}

var errLong = errors.New("line too long")

// readLine reads to the next line break. io.EOF goes with a line that has none.
func readLine(in *bufio.Reader) (line []byte, size int64, err error) {
	for {
		part, err := in.ReadSlice('\n')
		size += int64(len(part))
		if len(line)+len(part) <= maxLine {
			line = append(line, part...)
		}
		if err == bufio.ErrBufferFull {
			continue
		}
		if err == nil && size > maxLine {
			err = errLong
		}
		return line, size, err
	}
}

// contradiction is a record that can be read, but not be true.
type contradiction struct{ text string }

func (c *contradiction) Error() string { return c.text }

func contradicts(format string, args ...any) error {
	return &contradiction{fmt.Sprintf(format, args...)}
}

func (j *Journal) line(n int, line []byte) error {
	if n == 1 {
		if err := json.Unmarshal(line, &j.Header); err != nil {
			return err
		}
		if j.Schema != Schema {
			return fmt.Errorf("schema %q", j.Schema)
		}
		return nil
	}
	r := record{Why: &Why{}}
	if err := json.Unmarshal(line, &r); err != nil {
		return err
	}
	read, ok := kinds[r.Record]
	if !ok {
		return fmt.Errorf("unknown record %q", r.Record)
	}
	return read(j, &r)
}

// kinds is one row a kind of record.
var kinds = map[string]func(*Journal, *record) error{
	kindIntent:   (*Journal).intent,
	kindResult:   (*Journal).result,
	kindRestored: (*Journal).restored,
	kindUndone:   (*Journal).undone,
}

func (j *Journal) intent(r *record) error {
	e := Entry{Intent: Intent{N: r.N, Why: *r.Why}}
	if err := flowjson.Read(r.Flow, &e.Flow); err != nil {
		return err
	}
	if r.N != len(j.Entries)+1 {
		return contradicts("intent %d follows intent %d", r.N, len(j.Entries))
	}
	j.Entries = append(j.Entries, e)
	return nil
}

// entry finds the intent that r is of.
func (j *Journal) entry(r *record) (*Entry, error) {
	if r.N < 1 || r.N > len(j.Entries) {
		return nil, contradicts("%s of %d, of which there is no intent", r.Record, r.N)
	}
	return &j.Entries[r.N-1], nil
}

func (j *Journal) result(r *record) error {
	e, err := j.entry(r)
	switch {
	case err != nil:
		return err
	case e.Result != nil:
		return contradicts("a second result of %d", r.N)
	}
	switch r.Action {
	case None, Deleted, Gone, Changed, Failed:
		e.Result = &Result{r.N, r.Action, r.Said}
		return nil
	}
	return contradicts("unknown action %q", r.Action)
}

// restored: a later one counts, as an undo may be repeated.
func (j *Journal) restored(r *record) error {
	e, err := j.entry(r)
	if err != nil {
		return err
	}
	switch r.Outcome {
	case Restored, There, Taken, NotBack:
		e.Restore = &Restore{r.N, r.Outcome, r.Said}
		return nil
	}
	return contradicts("unknown outcome %q", r.Outcome)
}

func (j *Journal) undone(r *record) error {
	if r.At == nil {
		return contradicts("undone, but not when")
	}
	j.Undone = *r.At
	return nil
}

// Wanted tells whether the entry may have been deleted and has not been put
// back.
func (e *Entry) Wanted() bool {
	if e.Result != nil && e.Result.Action != Deleted {
		return false
	}
	return e.Restore == nil || e.Restore.Outcome == Taken || e.Restore.Outcome == NotBack
}
