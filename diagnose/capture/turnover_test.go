package capture

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

func TestTurnoverNote(t *testing.T) {
	const end = "; flows that began or ended meanwhile may be missing, none that was there all the time"
	for _, tt := range []struct {
		name string
		t    Turnover
		want string
	}{
		{"quiet", Turnover{Known: true, Before: 1000, After: 1000}, ""},
		{"few of a small table", Turnover{Known: true, Before: 10, After: 80, Began: 70}, ""},
		{"a busy table as it always is", Turnover{Known: true, Before: 100_000, After: 100_700, Began: 900}, ""},
		{"of some time", Turnover{Known: true, Before: 1_000_000, After: 1_070_000, Began: 31_000},
			"the table changed while it was read: 1000000 entries before, 1070000 after; 31000 of those read began meanwhile" + end},
		{"as many came as went", Turnover{Known: true, Before: 1000, After: 1000, Began: 100},
			"the table changed while it was read: 1000 entries before, 1000 after; 100 of those read began meanwhile" + end},
		{"emptied", Turnover{Known: true, Before: 1000, After: 0},
			"the table changed while it was read: 1000 entries before, 0 after" + end},
		{"repeated", Turnover{Known: true, Before: 1000, After: 1000, Repeated: 2},
			"the table changed while it was read: 1000 entries before, 1000 after; 2 came twice and count once" + end},
		{"not known", Turnover{Began: 100}, "the table changed while it was read; 100 of those read began meanwhile" + end},
	} {
		if got := tt.t.Note(); got != tt.want {
			t.Errorf("%s: %q\nwant %q", tt.name, got, tt.want)
		}
	}
}

func TestFlowsInfoMissing(t *testing.T) {
	for _, tt := range []struct {
		name string
		info FlowsInfo
		want []host.Missing
	}{
		{"nothing", FlowsInfo{Why: "the kernel refused the filter", Turnover: Turnover{Known: true, Before: 1, After: 9000, BucketsBefore: 64, BucketsAfter: 64}}, nil},
		{"not read", FlowsInfo{Unparsed: 2, Why: "a reason"}, []host.Missing{{What: "2 conntrack entries", Why: "a reason"}}},
		{"larger", FlowsInfo{Turnover: Turnover{BucketsBefore: 64, BucketsAfter: 128}},
			[]host.Missing{{What: "which conntrack entries were read twice", Why: "the hash table was resized while it was read (nf_conntrack_buckets 64, then 128): ask again"}}},
		{"smaller", FlowsInfo{Turnover: Turnover{BucketsBefore: 128, BucketsAfter: 64}},
			[]host.Missing{{What: "conntrack entries of some hash buckets", Why: "the hash table was resized while it was read (nf_conntrack_buckets 128, then 64): ask again"}}},
		{"not known", FlowsInfo{Turnover: Turnover{BucketsBefore: 128}}, nil},
	} {
		if d := cmp.Diff(tt.want, tt.info.Missing()); d != "" {
			t.Errorf("%s:\n%s", tt.name, d)
		}
	}
}
