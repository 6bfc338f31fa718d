package report

import (
	"strings"
	"time"
)

// CapturedLine says of which machine and when a document of a file is, and that
// what is to be done is to be done there.
func CapturedLine(hostname, netns string, at, now time.Time, s Style) string {
	if hostname == "" {
		hostname = "an unnamed host"
	}
	text := "captured on " + safe(hostname)
	if netns != "" {
		text += ", network namespace " + safe(netns)
	}
	if !at.IsZero() {
		text += ", " + at.UTC().Format("2006-01-02 15:04:05 UTC")
		if ago := now.Sub(at); ago > 0 {
			text += " (" + ageText(ago) + " ago)"
		}
	}
	var b strings.Builder
	wrap(&b, s.width(), "", "  ", text+"; commands are for that host")
	return s.paint(dim, strings.TrimSuffix(b.String(), "\n")) + "\n"
}
