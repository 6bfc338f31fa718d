package capture

import (
	"os"
	"path/filepath"
	"strings"
)

// Enter is what a shell's line begins with to run inside the namespace, with a
// space at its end; "" where that is the one the program was started in.
func (l *Live) Enter() string {
	name := shellWord(l.netns)
	switch {
	case l.netns == "":
		return ""
	case strings.ContainsRune(l.netns, '/'):
		return "nsenter --net=" + name + " "
	}
	for _, dir := range netnsDirs {
		if _, err := os.Stat(filepath.Join(dir, l.netns)); err == nil {
			return "ip netns exec " + name + " "
		}
	}
	return "nsenter -n -t " + name + " "
}

// shellWord quotes what a shell would take apart.
func shellWord(s string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:@%+", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
