package invalid

import "github.com/ntdiag/ntdiag/diagnose/host"

// latest is later than any patch or minor release.
const latest = 1 << 15

// Kernel is the release that printed m: k, or, where k is not known or cannot
// have printed these words, the nearest that can. A log can come from another
// host, and a distribution takes later words over.
func (m *Message) Kernel(k host.Release) host.Release {
	if m.Form == nil {
		return k
	}
	since, before := m.Form.Since, m.Form.Before
	switch {
	case k.In(since, before):
		return k
	case !before.Known() || k.Known() && !k.In(since, host.Release{}):
		return since
	case before.Minor > 0:
		return host.Release{Major: before.Major, Minor: before.Minor - 1, Patch: latest}
	}
	return host.Release{Major: before.Major - 1, Minor: latest, Patch: latest}
}

// Moved are the counters that the packet of m moved, when k is the release of
// its kernel or not known; nil for a reason that is not known.
func (m *Message) Moved(k host.Release) []string {
	if m.Reason == nil {
		return nil
	}
	return m.Reason.Moved(m.Kernel(k))
}

// Accepted tells whether the packet of m went on with its entry and its NAT.
func (m *Message) Accepted(k host.Release) bool {
	return m.Reason != nil && m.Reason.Accepts(m.Kernel(k))
}
