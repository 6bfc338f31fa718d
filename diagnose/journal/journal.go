// Package journal is the file that keeps what is deleted from the conntrack
// table, so that it can be put back. It is JSON, one record a line:
//
//	{"schema":"ntdiag.journal/1","host":{…},"netns":"","boot_id":"…",…}  the header
//	{"record":"intent","n":1,"flow":{…},"class":"rule-gone",…}           n is about to be deleted
//	{"record":"result","n":1,"action":"deleted"}                          what came of n
//	{"record":"restored","n":1,"outcome":"restored"}                      n was put back
//	{"record":"undone","at":"2026-03-01T12:00:00Z"}                       all of it was
//
// Intents stand on the disk before the first of their entries is deleted: a
// process that is killed at any moment leaves no entry deleted that is not
// named. A result that is missing says that the entry may have been deleted.
package journal

import (
	"encoding/json"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/flowjson"
	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Schema is what the header of a journal of this version says.
const Schema = "ntdiag.journal/1"

// Header is the first line.
type Header struct {
	Schema string `json:"schema"`
	Host   Host   `json:"host"`
	Netns  string `json:"netns"` // as the user named it; "" for the one ntdiag ran in
	host.Place
	Command string    `json:"command"`
	Created time.Time `json:"created"`
}

// Host names the machine.
type Host struct {
	Hostname string `json:"hostname"`
	Kernel   string `json:"kernel"`
}

// Action is what became of a flow that was to be deleted.
type Action string

const (
	None    Action = "none"    // it was not its turn
	Deleted Action = "deleted" // it was deleted
	Gone    Action = "gone"    // it had ended before
	Changed Action = "changed" // another entry stands there, which was not touched
	Failed  Action = "failed"  // the kernel did not delete it
)

// Intent is an entry that is about to be deleted, as it is then.
type Intent struct {
	N    int // from 1 on
	Flow host.Flow
	Why  Why
}

// Why is why an entry is deleted; a field is empty where nobody judged it.
type Why struct {
	Class      string `json:"class,omitempty"`
	Confidence string `json:"confidence,omitempty"`
	Rule       string `json:"rule,omitempty"`
	Text       string `json:"why,omitempty"`
}

// Result is what came of an intent.
type Result struct {
	N      int
	Action Action
	Why    string
}

// Outcome is what came of putting an entry back.
type Outcome string

const (
	Restored Outcome = "restored" // it was put back
	There    Outcome = "there"    // it is there: it was not deleted, or was put back before
	Taken    Outcome = "taken"    // another entry has one of its tuples
	NotBack  Outcome = "failed"   // the kernel did not take it
)

// Restore is what came of putting an intent's entry back.
type Restore struct {
	N       int
	Outcome Outcome
	Why     string
}

// record is every line but the first.
type record struct {
	Record string `json:"record"`
	N      int    `json:"n,omitempty"`
	// Flow is that of an intent.
	Flow json.RawMessage `json:"flow,omitempty"`
	*Why
	Action  Action     `json:"action,omitempty"`
	Outcome Outcome    `json:"outcome,omitempty"`
	Said    string     `json:"said,omitempty"` // why of a result or an outcome
	At      *time.Time `json:"at,omitempty"`
}

// Kinds of records.
const (
	kindIntent   = "intent"
	kindResult   = "result"
	kindRestored = "restored"
	kindUndone   = "undone"
)

func (i *Intent) record() record {
	return record{Record: kindIntent, N: i.N, Flow: flowjson.Append(nil, &i.Flow), Why: &i.Why}
}

func (r *Result) record() record {
	return record{Record: kindResult, N: r.N, Action: r.Action, Said: r.Why}
}

func (r *Restore) record() record {
	return record{Record: kindRestored, N: r.N, Outcome: r.Outcome, Said: r.Why}
}

// appendLine appends v as a line.
func appendLine(b []byte, v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err != nil {
		return b, err
	}
	return append(append(b, line...), '\n'), nil
}
