package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// followed is what is read of a record of --follow.
type followed struct {
	Schema   string            `json:"schema"`
	Interval float64           `json:"interval_s"`
	Sum      bool              `json:"sum"`
	Total    map[string]uint64 `json:"total"`
	Table    struct {
		Count uint64 `json:"count"`
	} `json:"table"`
}

// TestCountersFollow: a record each interval, and at SIGINT their sum.
func TestCountersFollow(t *testing.T) {
	c := newCounting(t, "table inet nat { chain postrouting { type nat hook postrouting priority srcnat; oifname \"s0\" masquerade; }; }")
	cmd := exec.Command("ntdiag", "counters", "--netns", c.Router.Path(), "--follow", "--interval", "20ms")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var parts uint64
	var last followed
	n := 0
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for ; lines.Scan(); n++ {
		if last.Sum {
			t.Fatalf("a record after the sum: %s", lines.Text())
		}
		last = followed{}
		if err := json.Unmarshal(lines.Bytes(), &last); err != nil || last.Schema != "ntdiag.counters/1" || last.Interval <= 0 {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		switch {
		case last.Sum:
		case n < 3:
			inside(t, c.Router, "ntdiag", "flows", "insert", fmt.Sprintf("udp 10.0.0.10:%d > 10.8.2.99:2", n+1))
		case parts+last.Total["insert"] == 3:
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
		if !last.Sum {
			parts += last.Total["insert"]
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if !last.Sum || last.Total["insert"] != 3 || parts > 3 || last.Table.Count < 3 {
		t.Errorf("%d records, insert %d; the sum %+v", n, parts, last)
	}
}

// terminal is a pseudo terminal of 80 columns and 24 lines.
func terminal(t *testing.T) (outside, inside *os.File) {
	t.Helper()
	outside, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	needKernel(t, err)
	t.Cleanup(func() { outside.Close() })
	fd := int(outside.Fd())
	needKernel(t, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	needKernel(t, err)
	needKernel(t, unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	inside, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	needKernel(t, err)
	return outside, inside
}

// TestCountersScreen: on a terminal a table stays in its place, and the sum comes
// below it.
func TestCountersScreen(t *testing.T) {
	c := newCounting(t, onePortRules)
	for _, src := range []string{"10.0.0.10:4001", "10.0.0.11:4002"} {
		if _, err := c.Client.UDP(netip.MustParseAddrPort(src), netip.MustParseAddrPort("192.168.1.80:53"), false); err != nil {
			t.Fatal(err)
		}
	}
	master, slave := terminal(t)
	cmd := exec.Command("ntdiag", "counters", "--netns", c.Router.Path(), "--follow", "--interval", "20ms", "--color", "never")
	cmd.Stdout = slave
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	var all []byte
	buf := make([]byte, 4096)
	interrupted := false
	for {
		n, err := master.Read(buf)
		all = append(all, buf[:n]...)
		if err != nil {
			break // EIO: the other end is closed
		}
		if frames := bytes.Count(all, []byte("\x1b[J")); frames >= 3 && !interrupted {
			interrupted = true
			if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%q", err, all)
	}
	frames := strings.Split(string(all), "\x1b[J")
	for i, f := range frames[:len(frames)-1] {
		up := regexp.MustCompile(`^\x1b\[(\d+)A`).FindStringSubmatch(f)
		if lines := strings.Count(f, "\n"); lines > 23 || i > 0 && (up == nil || up[1] != fmt.Sprint(strings.Count(frames[i-1], "\n"))) {
			t.Errorf("frame %d has %d lines, and begins %.8q", i, lines, f)
		}
		for _, line := range strings.Split(f, "\n") {
			line = regexp.MustCompile(`\x1b\[\d*[A-Z]|\r`).ReplaceAllString(line, "")
			if len([]rune(line)) > 80 {
				t.Errorf("frame %d: %q", i, line)
			}
		}
		if !strings.Contains(f, "insert_failed") || !strings.Contains(f, "a second") {
			t.Errorf("frame %d: %q", i, f)
		}
	}
	if end := frames[len(frames)-1]; !regexp.MustCompile(`^\r\nno packet lost in [0-9.]+ s\r\n`).MatchString(end) || strings.Contains(end, "\x1b") {
		t.Errorf("the end is %q", end)
	}
}
