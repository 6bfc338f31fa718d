package report

import (
	"strings"
	"testing"
	"time"
)

func TestCapturedLine(t *testing.T) {
	at := time.Date(2026, 11, 27, 20, 44, 30, 0, time.UTC)
	for _, tc := range []struct {
		host, netns string
		redacted    bool
		at          time.Time
		want        string
	}{
		{"gw1", "", false, at, "captured on gw1, 2026-11-27 20:44:30 UTC (59 min ago)\n"},
		{"gw1", "router", true, at, "captured on gw1, netns router (redacted), 2026-11-27 20:44:30 UTC (59 min ago)\n"},
		{"host-jrgxwxjz", "netns-trmxhtyg", false, at, "host-jrgxwxjz, netns netns-trmxhtyg, 2026-11-27 20:44:30 UTC (59 min ago)\n"},
		{"host-jrgxwxjz", "netns-trmxhtyg", true, at, "host-jrgxwxjz, netns netns-trmxhtyg (redacted), 2026-11-27 20:44:30 UTC\n"},
		{"", "", false, time.Time{}, "captured on an unnamed host\n"},
		{"a\x1b[31mb", "", false, time.Time{}, `captured on a\x1b[31mb` + "\n"},
		{strings.Repeat("h", 64), "r", false, at, strings.Repeat("h", 64) + ", netns r,\n  2026-11-27 20:44:30 UTC\n"},
	} {
		if got := CapturedLine(tc.host, tc.netns, tc.redacted, tc.at, at.Add(59*time.Minute), Style{}); got != tc.want {
			t.Errorf("%q, want %q", got, tc.want)
		}
	}
}
