package host

import (
	"strconv"
	"strings"
)

// Release is the version of a kernel: 6.18.44 of "6.18.44-amd64". The zero
// Release is not known.
type Release struct{ Major, Minor, Patch int }

// ParseRelease reads the release that uname -r prints; false when it does not
// begin with a version. A distribution's number counts, whatever it has taken
// over from later kernels.
func ParseRelease(s string) (Release, bool) {
	var n [3]int
	got := 0
	for rest := s; got < len(n); got++ {
		end := strings.IndexFunc(rest, func(c rune) bool { return c < '0' || c > '9' })
		if end < 0 {
			end = len(rest)
		}
		v, err := strconv.ParseUint(rest[:end], 10, 16)
		if err != nil {
			break
		}
		n[got] = int(v)
		if end == len(rest) || rest[end] != '.' {
			got++
			break
		}
		rest = rest[end+1:]
	}
	if got < 2 {
		return Release{}, false
	}
	return Release{n[0], n[1], n[2]}, true
}

// Known tells whether r is a version at all.
func (r Release) Known() bool { return r != Release{} }

// AtLeast tells whether r is major.minor or later; an unknown release is no
// version.
func (r Release) AtLeast(major, minor int) bool {
	return r.Major > major || r.Major == major && r.Minor >= minor
}

func (r Release) String() string {
	if !r.Known() {
		return ""
	}
	s := strconv.Itoa(r.Major) + "." + strconv.Itoa(r.Minor)
	if r.Patch > 0 {
		s += "." + strconv.Itoa(r.Patch)
	}
	return s
}

// In tells whether r lies in [since, before); zero ends are open. An unknown
// release is taken for the newest.
func (r Release) In(since, before Release) bool {
	if !r.Known() {
		return !before.Known()
	}
	return !r.less(since) && (!before.Known() || r.less(before))
}

func (r Release) less(o Release) bool {
	if r.Major != o.Major {
		return r.Major < o.Major
	}
	if r.Minor != o.Minor {
		return r.Minor < o.Minor
	}
	return r.Patch < o.Patch
}
