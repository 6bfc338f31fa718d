package kernlog

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// rotated is where a file stands in the rotation of a log, by its name:
// "kern.log.2.gz" is the second of kern.log, "kern.log-20261127" of a day.
type rotated struct {
	log    string // with its directory
	number int    // higher is older: 0 for the one that is written to
	day    string // later is younger; "" for none
}

var compressedNames = []string{".gz", ".zst", ".xz", ".bz2", ".lz4"}

func rotationOf(path string) rotated {
	dir, base := filepath.Split(path)
	for _, ext := range compressedNames {
		base = strings.TrimSuffix(base, ext)
	}
	if i := strings.LastIndexByte(base, '.'); i > 0 {
		if n, err := strconv.Atoi(base[i+1:]); err == nil && n >= 0 && n < 10000 {
			return rotated{log: dir + base[:i], number: n + 1}
		}
	}
	// logrotate's dateext: -20261127, -2026112714, -20261127-1795788001
	if i := strings.IndexByte(base, '-'); i > 0 && len(base) >= i+9 && isDigits([]byte(base[i+1:i+9])) {
		return rotated{log: dir + base[:i], day: base[i+1:]}
	}
	// system@0005….journal, of system.journal
	if i := strings.IndexByte(base, '@'); i > 0 && strings.Contains(base, ".journal") {
		return rotated{log: dir + base[:i] + ".journal"}
	}
	return rotated{log: dir + strings.TrimSuffix(base, "~")}
}

// older orders two files of one log by their names.
func (a rotated) older(b rotated) int {
	if a.number != b.number {
		return b.number - a.number
	}
	if (a.day == "") != (b.day == "") {
		if a.day == "" {
			return 1
		}
		return -1
	}
	return strings.Compare(a.day, b.day)
}

// order puts the files of one log's rotation in the order of time: by their
// first records, or where one of them does not tell by their names. Files of
// different logs stay as they are given.
func (r *Reader) order() {
	logs := map[string][]int{}
	for i, in := range r.inputs {
		if in.path != "" {
			log := rotationOf(in.path).log
			logs[log] = append(logs[log], i)
		}
	}
	for _, places := range logs {
		if len(places) > 1 {
			r.orderLog(places)
		}
	}
}

// orderLog orders the inputs at places among themselves.
func (r *Reader) orderLog(places []int) {
	type dated struct {
		in    *input
		name  rotated
		first time.Time
	}
	files := make([]dated, len(places))
	byTime := true
	for i, at := range places {
		in := r.inputs[at]
		files[i] = dated{in: in, name: rotationOf(in.path), first: r.firstTime(in)}
		byTime = byTime && !files[i].first.IsZero()
	}
	slices.SortStableFunc(files, func(a, b dated) int {
		if byTime {
			if c := a.first.Compare(b.first); c != 0 {
				return c
			}
		}
		return a.name.older(b.name)
	})
	for i, at := range places {
		r.inputs[at] = files[i].in
	}
}

// firstLines is how many lines are read for the first time in a file.
const firstLines = 1000

// firstTime is the time of the first message in a file, by whomever; zero when it
// does not tell, and of what can be read only once.
func (r *Reader) firstTime(in *input) time.Time {
	if in.changed.IsZero() {
		return time.Time{}
	}
	peek := newReader()
	peek.now, peek.zone = r.now, r.zone
	peek.inputs = []*input{{name: in.name, path: in.path, open: in.open, changed: in.changed}}
	defer peek.Close()
	var rec Record
	for peek.in != nil || len(peek.inputs) > 0 {
		if peek.in == nil {
			if peek.nextInput() != nil {
				break
			}
			continue
		}
		rec = Record{}
		v, err := peek.message(&rec)
		if err != nil || peek.in.lines > firstLines {
			break
		}
		if v == kernel || v == program {
			if at := rec.Time(); !at.IsZero() {
				return at
			}
		}
	}
	return time.Time{}
}
