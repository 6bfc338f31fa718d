package capture

import (
	"fmt"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Turnover is how the table changed while a dump of it was read. Entries are
// counted as the kernel does: those that have timed out and are not removed yet
// count, and are not given.
type Turnover struct {
	Known         bool   // Before and After are
	Before, After uint64 // entries of the namespace
	Began         int    // entries given that began meanwhile; 0 where they have no time stamp
	Repeated      int    // entries that the kernel gave again, left out

	// the hash table's buckets (nf_conntrack_buckets), 0 where not known
	BucketsBefore, BucketsAfter uint64
}

// Resized tells whether the hash table got another size meanwhile. Its buckets
// keep their order (scale_hash) while the dump goes on at the bucket of the
// same number: of a larger table it is one that was given already, of a smaller
// one some were passed over.
func (t *Turnover) Resized() bool {
	return t.BucketsBefore != 0 && t.BucketsAfter != 0 && t.BucketsBefore != t.BucketsAfter
}

// Note is for who reads the entries: that many came or went, so that what was
// listed is of no one moment; "" where it is not worth a word. Any table changes
// a little, and nothing is lacking that was there all the time.
func (t *Turnover) Note() string {
	const few, share = 100, 100 // at least so many entries, and one of so many
	changed := uint64(t.Began)
	if t.Known {
		changed = max(changed, max(t.Before, t.After)-min(t.Before, t.After))
	}
	if t.Repeated == 0 && (changed < few || changed*share < t.Before) {
		return ""
	}
	return t.words()
}

func (t *Turnover) words() string {
	text := "the table changed while it was read"
	if t.Known {
		text += fmt.Sprintf(": %d entries before, %d after", t.Before, t.After)
	}
	if t.Began > 0 {
		text += fmt.Sprintf("; %d of those read began meanwhile", t.Began)
	}
	if t.Repeated > 0 {
		text += fmt.Sprintf("; %d came twice and count once", t.Repeated)
	}
	return text + "; flows that began or ended meanwhile may be missing, none that was there all the time"
}

// Missing is what the entries that were handed over lack.
func (i FlowsInfo) Missing() []host.Missing {
	var out []host.Missing
	if i.Unparsed > 0 {
		out = append(out, host.Missing{What: fmt.Sprintf("%d conntrack entries", i.Unparsed), Why: i.Why})
	}
	t := &i.Turnover
	if !t.Resized() {
		return out
	}
	what := "conntrack entries of some hash buckets"
	if t.BucketsAfter > t.BucketsBefore {
		what = "which conntrack entries were read twice"
	}
	return append(out, host.Missing{What: what, Why: fmt.Sprintf("the hash table was resized while it was read (nf_conntrack_buckets %d, then %d): ask again", t.BucketsBefore, t.BucketsAfter)})
}
