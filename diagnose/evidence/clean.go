package evidence

import (
	"bytes"
	"path"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/ntdiag/ntdiag/rules/pattern"
)

// section is what one command printed.
type section struct {
	file    string
	command string // as it was typed before it; "" when nothing tells
	first   int    // line of the file that lines[0] is
	lines   []string
}

// text is the section as a whole.
func (s *section) text() string { return strings.Join(s.lines, "\n") + "\n" }

var (
	ansi     = pattern.New("\x1b\\[[0-9;?]*[A-Za-z]")
	prompt   = pattern.New(`^\s*(?:\([^)]*\)\s*)?\[?[\w.-]+@[\w.-]+(?:[ :][^#$%>]*)?\]?[#$%>]\s*(.*)$`)
	bare     = pattern.New(`^\s*[#$]\s+(.*)$`)
	numbered = pattern.New(`^\s*(\d+)(?:[\t ]|:(\S))`)
)

// commands are those whose output is understood.
var commands = map[string]bool{
	"iptables": true, "ip6tables": true, "iptables-save": true, "ip6tables-save": true, "iptables-nft": true, "ip6tables-nft": true,
	"iptables-nft-save": true, "ip6tables-nft-save": true, "iptables-legacy": true, "ip6tables-legacy": true,
	"iptables-legacy-save": true, "ip6tables-legacy-save": true,
	"ip": true, "conntrack": true, "nft": true, "sysctl": true, "dmesg": true, "journalctl": true, "uname": true, "hostname": true,
	"ipset": true, "route": true, "cat": true, "grep": true, "exit": true, "date": true,
}

// sections takes a file apart: at each prompt with a command that is known a
// new one begins. What editors, mail and terminals add to lines is taken off.
func sections(file string, b []byte) []section {
	lines := strings.Split(decode(b), "\n")
	unquote(lines)
	for i := range lines {
		lines[i] = strings.TrimRight(ansi.ReplaceAllString(lines[i], ""), "\r \t")
		if strings.HasPrefix(strings.TrimSpace(lines[i]), "```") {
			lines[i] = ""
		}
	}
	unnumber(lines)
	out := []section{{file: file, first: 1}}
	for i, s := range lines {
		if typed, ok := typedCommand(s); ok {
			out = append(out, section{file: file, first: i + 2, command: typed})
			continue
		}
		at := &out[len(out)-1]
		at.lines = append(at.lines, s)
	}
	kept := out[:0]
	for _, s := range out {
		if strings.TrimSpace(s.text()) != "" {
			kept = append(kept, s)
		}
	}
	return kept
}

// decode takes off a byte order mark; PowerShell writes UTF-16.
func decode(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		b = b[3:]
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		u := make([]uint16, 0, len(b)/2)
		for i := 2; i+1 < len(b); i += 2 {
			u = append(u, uint16(b[i])|uint16(b[i+1])<<8)
		}
		return string(utf16.Decode(u))
	}
	return string(b)
}

// unquote takes off the marks of a mail's quotation, where most lines have one.
func unquote(lines []string) {
	for range 4 {
		marked, filled := 0, 0
		for _, s := range lines {
			if s = strings.TrimSpace(s); s != "" {
				filled++
				if s[0] == '>' {
					marked++
				}
			}
		}
		if marked == 0 || 2*marked < filled {
			return
		}
		for i, s := range lines {
			if rest, ok := strings.CutPrefix(strings.TrimLeft(s, " \t"), ">"); ok {
				lines[i] = strings.TrimPrefix(rest, " ")
			}
		}
	}
}

// unnumber takes off numbers that count the lines, as cat -n and grep -n print
// them.
func unnumber(lines []string) {
	next, filled := 0, 0
	for _, s := range lines {
		if s == "" {
			if next > 0 {
				next++ // grep leaves out what cat counts
			}
			continue
		}
		m := numbered.FindStringSubmatch(s)
		if m == nil {
			return
		}
		n, err := strconv.Atoi(m[1])
		if err != nil || filled > 0 && n != next {
			return
		}
		next = n + 1
		filled++
	}
	if filled < 2 {
		return
	}
	for i, s := range lines {
		if m := numbered.FindStringSubmatchIndex(s); m != nil {
			end := m[3]
			lines[i] = strings.TrimPrefix(s[end+1:], " ")
		}
	}
}

// typedCommand is the command behind a prompt. Without a name before it, only
// one that is known is taken for it: a remark begins with # as well.
func typedCommand(s string) (string, bool) {
	m := prompt.FindStringSubmatch(s)
	if m == nil {
		if m = bare.FindStringSubmatch(s); m == nil || !isCommand(m[1]) {
			return "", false
		}
	}
	return strings.TrimSpace(m[1]), true
}

func isCommand(s string) bool { return commands[programOf(s)] }

// programOf is the program of a command line, without sudo and the like.
func programOf(s string) string {
	w := words(s)
	for len(w) > 0 {
		name := path.Base(w[0])
		switch {
		case name == "sudo" || name == "doas" || strings.Contains(name, "="):
			w = w[1:]
		case name == "ip" && len(w) > 4 && w[1] == "netns" && w[2] == "exec":
			w = w[4:]
		default:
			return name
		}
	}
	return ""
}

func words(s string) []string { return strings.Fields(s) }
