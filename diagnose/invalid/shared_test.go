package invalid

import (
	"bufio"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// shared opens a file of the collection that lies beside the repository.
func shared(t *testing.T, name string) *bufio.Scanner {
	t.Helper()
	dir := os.Getenv("NTDIAG_SHARED")
	if dir == "" {
		dir = "../../../shared"
	}
	f, err := os.Open(dir + "/docs/" + name)
	if os.IsNotExist(err) {
		t.Skipf("no %s beside the repository", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	return s
}

var (
	heading  = regexp.MustCompile(`^## (.*\S)\s+counters: \{(.*)\}$`)
	movement = regexp.MustCompile(`'(\w+)': (\d+)`)
	captured = regexp.MustCompile(`^(\d,\d+,\d+,-;|<\d>\[ *[\d.]+\] |\[ *[\d.]+\] )(.*)$`)
)

// sample is a packet that was sent, and what the kernel did about it.
type sample struct {
	what  string
	moved []string
	lines []string
}

func samples(t *testing.T) (sent []sample, extra []string) {
	s := shared(t, "kmsg-samples.txt")
	heads := true
	for s.Scan() {
		line := s.Text()
		if strings.HasPrefix(line, "########") {
			heads = false
		}
		if m := heading.FindStringSubmatch(line); m != nil {
			sent = append(sent, sample{what: m[1]})
			for _, c := range movement.FindAllStringSubmatch(m[2], -1) {
				sent[len(sent)-1].moved = append(sent[len(sent)-1].moved, c[1])
			}
			continue
		}
		switch m := captured.FindStringSubmatch(line); {
		case m == nil && !heads && strings.HasPrefix(line, "    "):
			extra = append(extra, line) // second half
		case m == nil:
		case heads:
			sent[len(sent)-1].lines = append(sent[len(sent)-1].lines, m[2])
		default:
			extra = append(extra, line)
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	return sent, extra
}

// alsoMoved are counters that the recording has beside those of the packet that
// was sent: for this one nf_conntrack_icmpv6_redirect moves error alone, and so
// it is when the kernel is asked again (TestKernel).
var alsoMoved = map[string]string{"icmpv6: redirect short": "invalid"}

// TestSamples holds Table against what a 6.18 kernel printed and counted.
func TestSamples(t *testing.T) {
	kernel := host.Release{Major: 6, Minor: 18, Patch: 44}
	sent, _ := samples(t)
	if len(sent) < 80 {
		t.Fatalf("%d samples, want more: the file is not understood", len(sent))
	}
	var m Message
	for _, s := range sent {
		var moved []string
		for _, line := range s.lines {
			if !Parse([]byte(line), &m) || m.Reason == nil {
				t.Errorf("%s: not understood: %s", s.what, line)
				continue
			}
			if m.Rest != nil {
				t.Errorf("%s: left over %q of %s", s.what, m.Rest, line)
			}
			if m.Packet.Src.IsValid() != strings.Contains(line, "SRC=") {
				t.Errorf("%s: source %v of %s", s.what, m.Packet.Src, line)
			}
			for _, c := range m.Reason.Moved(kernel) {
				if !slices.Contains(moved, c) {
					moved = append(moved, c)
				}
			}
		}
		if also := alsoMoved[s.what]; also != "" {
			moved = append(moved, also)
		}
		slices.Sort(moved)
		slices.Sort(s.moved)
		if len(s.lines) > 0 {
			if !slices.Equal(moved, s.moved) {
				t.Errorf("%s: moves %q, but moved %q", s.what, moved, s.moved)
			}
			continue
		}
		for _, c := range s.moved {
			if !slices.ContainsFunc(Silents, func(x Silent) bool { return (x.Counter == c || x.Also == c) && kernel.In(x.Since, x.Before) }) {
				t.Errorf("%s: nothing in Silents moves %s", s.what, c)
			}
		}
	}
}

// TestSamplesExtra: the other lines, as /dev/kmsg, dmesg and others print them.
func TestSamplesExtra(t *testing.T) {
	_, extra := samples(t)
	want := []string{"invalid-new", "table-full", "", "", "", "", "no-address", "bad-chunks"}
	got := readAll(extra)
	if len(got) != len(extra)-1 { // two are one message
		t.Errorf("%d messages of %d lines", len(got), len(extra))
	}
	for i, m := range got {
		name := ""
		if m.Reason != nil {
			name = m.Reason.Name
		}
		if i >= len(want) || name != want[i] || m.Rest != nil {
			t.Errorf("message %d is %q, left over %q; want %q", i, name, m.Rest, want)
		}
	}
}

// TestCovered: every message that is known has its form, and every way without
// one its row in Silents.
func TestCovered(t *testing.T) {
	forms := map[string]bool{}
	for i := range Table {
		for _, f := range Table[i].Forms {
			forms[f.Text] = true
		}
	}
	s := shared(t, "invalid-messages.tsv")
	rows, silent := 0, 0
	for s.Scan() {
		col := strings.Split(s.Text(), "\t")
		if len(col) < 7 || col[0] == "era" {
			continue
		}
		rows++
		text := strings.TrimSuffix(strings.TrimSpace(col[2]), `\n`)
		switch {
		case strings.HasPrefix(text, "("):
			silent++
			if !silentRow(s.Text()) {
				t.Errorf("nothing in Silents: %s", s.Text())
			}
		case strings.HasPrefix(text, "nf_ct_%s: dropping packet: %s"):
			if !forms["nf_ct_%s: dropping packet: %s"] {
				t.Errorf("no form: %s", text)
			}
		case strings.HasPrefix(text, "helper %s dropping packet: %s"):
			if !forms["helper %s dropping packet: %s"] {
				t.Errorf("no form: %s", text)
			}
		case !forms[text]:
			t.Errorf("no form: %q", text)
		}
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
	if rows < 100 || silent < 10 {
		t.Errorf("%d rows, %d without message: the file is not understood", rows, silent)
	}
}

// silentRows are the rows of the collection without a message, by words that
// stand in them, and what Silents has for them.
var silentRows = []struct{ words, what string }{
	{"tcp_loose==0", "an ACK without entry while tcp_loose is 0"},
	{"nf_conntrack_tcp_packet th==NULL", "fewer than 20 bytes of TCP header"},
	{"nf_ct_kill race", "a SYN that reopens a closed entry just as that is destroyed"},
	{"nf_conntrack_in NF_REPEAT", "a SYN that reopens a closed entry"},
	{"nf_conntrack_inet_error: inner tuple unreadable", whatUnknownFlow},
	{"nf_conntrack_icmp_packet valid_new", "an answer to a ping, timestamp or address query that was never asked here"},
	{"nf_ct_invert_tuple false", "an ICMP type that has no answer: 9, 10 (router discovery), 11 and others"},
	{"nf_conntrack_icmpv6_packet", "an answer to a ping that was never asked here, or an unknown type"},
	{"pr_debug only", "broken or misplaced chunks, a wrong verification tag, a chunk that cannot come now"},
	{"OOTB ABORT", "an SCTP packet out of the blue, without chunks, or with an INIT that has a tag"},
	{"gre_pkt_to_tuple", "GRE version 1 that does not carry PPP"},
	{"get_l4proto<=0", "a fragment that was not put together, an IP header with a wrong length, a broken chain of IPv6 headers"},
	{"nf_ct_get_tuple_ports false", "fewer than 8 bytes behind the IP header: no ports to read"},
	{"c4f3db159582", "any invalid packet: these kernels print nothing"},
}

func silentRow(line string) bool {
	for _, r := range silentRows {
		if strings.Contains(line, r.words) {
			counter := strings.Split(line, "\t")[4]
			return slices.ContainsFunc(Silents, func(x Silent) bool {
				return x.What == r.what && strings.Contains(counter, x.Counter)
			})
		}
	}
	return false
}
