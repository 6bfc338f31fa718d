package report

import (
	"strings"
	"time"
)

// CapturedLine says what an answer from a file is of: the host, its network
// namespace, and when it was captured. Commands in the answer are for that host.
func CapturedLine(hostname, netns string, redacted bool, at, now time.Time, s Style) string {
	if hostname == "" {
		hostname = "an unnamed host"
	}
	text := safe(hostname)
	if netns != "" {
		text += ", netns " + safe(netns)
	}
	if redacted {
		text += " (redacted)"
	}
	lead, age := "captured on ", ""
	if !at.IsZero() {
		text += ", " + at.UTC().Format("2006-01-02 15:04:05 UTC")
		if ago := now.Sub(at); ago > 0 {
			age = " (" + ageText(ago) + " ago)"
		}
	}
	// what one line has no room for, and what follows from the rest, is left out
	if columns(lead+text+age) > s.width() {
		lead = ""
	}
	if columns(text+age) > s.width() {
		age = ""
	}
	text = lead + text + age
	var b strings.Builder
	wrap(&b, s.width(), "", "  ", text)
	return s.paint(dim, strings.TrimSuffix(b.String(), "\n")) + "\n"
}
