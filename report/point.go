package report

// Point is one thing that a document says is wrong, or worth knowing, in the
// words of its text form: for what shows several documents as one.
type Point struct {
	Of       string // the command that says so: rules, stale, counters, invalid
	Severity string // critical, warning, info
	Text     string // a clause without a full stop
	Facts    []string
	Rules    []Rule // that have part in it
	Causes   []PointCause
	Not      []string // what was ruled out, and why
	Do       []Do
}

// PointCause is what is, or can be, behind a Point.
type PointCause struct {
	Sure     string // cause, likely, possible, …
	Text     string
	Evidence []string
	Do       []Do
}

// Do is what to do: a command, or a sentence.
type Do struct {
	Text    string
	Command bool
	Cost    string
	Lead    string // what is said before it
}

// The severities, the gravest first. They are those of package checks and of
// package counters.
const (
	Critical = "critical"
	Warning  = "warning"
	Info     = "info"
)

// Severities are all of them, the gravest first.
var Severities = []string{Critical, Warning, Info}
