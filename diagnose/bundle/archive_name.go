package bundle

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules/pattern"
)

const (
	formatName   = "format.json"
	manifestName = "manifest.json"
)

// Kinds of members: what they hold and how large one may be.
type kind struct {
	name  string
	shape *pattern.Regexp
	max   int64
	// values is how many a JSON document may have; 0: it is no JSON document.
	values int
	lines  bool // records of one line
	keep   bool // read when the bundle is opened
}

// word is a file's name without tricks: not hidden, nothing that a shell or a
// file system takes for something else.
const word = `[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*`

var kinds = []kind{
	{"format", pattern.New(`^format\.json$`), 4 << 10, 20, false, true},
	{"manifest", pattern.New(`^manifest\.json$`), 32 << 20, maxListing, false, true},
	{"state", pattern.New(`^netns-[0-9]{1,5}/state\.json$`), maxState, maxValues, false, false},
	{"flows", pattern.New(`^netns-[0-9]{1,5}/flows-[0-9]{1,3}/[0-9]{4,6}\.jsonl$`), partBytes + maxLine, 0, true, false},
	{"text", pattern.New(`^(?:netns-[0-9]{1,5}/)?text/` + word + `(?:/[0-9]{4,6}\.txt)?$`), maxText, 0, false, false},
	{"finding", pattern.New(`^(?:netns-[0-9]{1,5}/)?findings/` + word + `\.json$`), maxDoc, maxValues, false, false},
}

var namespaceDir = pattern.New(`^netns-[0-9]{1,5}$`)

var wordOnly = pattern.New(`^` + word + `$`)

// kindOf is the kind of a member by its name, nil for one that is not known.
func kindOf(name string) *kind {
	for i := range kinds {
		if kinds[i].shape.MatchString(name) {
			return &kinds[i]
		}
	}
	return nil
}

func checkWord(what, s string) error {
	if !wordOnly.MatchString(s) || len(s) > 100 {
		return fmt.Errorf("%s %q: want small letters, digits, -, _ and dots between them", what, s)
	}
	return nil
}
