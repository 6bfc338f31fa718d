package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// atom is one sort of packet that the router takes for invalid, or only logs.
type atom struct {
	what    string
	from    string // client or server
	p       lab.Packet
	times   int
	reason  string // protocol and reason of its message, "" for none
	counter string // that it moves, "" for none
	flow    bool   // it belongs to the connection
}

// connection is what comes first: three packets, translated by masquerade.
var connection = []atom{
	{from: "client", p: segment("client", lab.SYN, 1000, 0)},
	{from: "server", p: segment("server", lab.SYN|lab.ACK, 5000, 1001)},
	{from: "client", p: segment("client", lab.ACK, 1001, 5001)},
}

var atoms = []atom{
	{"beyond the window", "client", segment("client", lab.ACK|lab.PSH, 501001, 5001), 3, "tcp seq-over", "invalid", true},
	{"an answer beyond the window", "server", segment("server", lab.ACK|lab.PSH, 501001, 1001), 2, "tcp seq-over", "invalid", true},
	{"ACK of what was not sent", "client", segment("client", lab.ACK|lab.PSH, 1001, 105001), 2, "tcp ack-over", "invalid", true},
	{"SYN, accepted", "client", segment("client", lab.SYN, 9999, 0), 4, "tcp ignored", "", true},
	{"RST without entry", "client", packetOf("client", lab.TCP{SPort: 4001, DPort: 80, Flags: lab.RST, Seq: 1}), 5, "tcp invalid-new", "invalid", false},
	{"UDP, bad checksum", "client", packetOf("client", lab.UDP{SPort: 4002, DPort: 53, Payload: []byte("ab"), Sum: lab.SumWrong}), 1, "udp bad-checksum", "invalid", false},
	{"ICMP, bad checksum", "client", packetOf("client", lab.ICMP{Type: 8, Rest: 1, Sum: lab.SumWrong}), 2, "icmp bad-checksum", "error", false},
	{"TCP, short", "client", lab.Packet{Src: lab.QuietClient4, Dst: lab.QuietServer4, L4: lab.TCP{SPort: 4003, DPort: 80, Flags: lab.SYN}, Short: 12}, 3, "", "invalid", false},
	{"ICMP, an answer to nothing", "client", packetOf("client", lab.ICMP{Type: 0, Rest: 7}), 2, "", "invalid", false},
}

func segment(from string, flags uint8, seq, ack uint32) lab.Packet {
	t := lab.TCP{SPort: 4000, DPort: 80, Flags: flags, Seq: seq, Ack: ack}
	if from == "server" {
		t.SPort, t.DPort = 80, 4000
	}
	return packetOf(from, t)
}

func packetOf(from string, l4 lab.Transport) lab.Packet {
	if from == "server" {
		return lab.Packet{Src: lab.QuietServer4, Dst: lab.QuietOut4, L4: l4}
	}
	return lab.Packet{Src: lab.QuietClient4, Dst: lab.QuietServer4, L4: l4}
}

const addsUpRules = `
table ip nat { chain postrouting { type nat hook postrouting priority srcnat; oifname "s0" masquerade; }; }
table inet filter {
	chain raw { type filter hook prerouting priority raw; meta l4proto 253 notrack; }
	chain input { type filter hook input priority filter; policy drop; icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept; }
}
`

// TestInvalidAddsUp runs `ntdiag invalid` on a router while packets are sent
// that move its counters: it counts each reason, and what it explains of a
// counter and what not add up to what the kernel counted.
func TestInvalidAddsUp(t *testing.T) {
	l, err := lab.New()
	needKernel(t, err)
	t.Cleanup(func() { l.Close() })
	n, err := l.Quiet()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := exec.LookPath("nft"); err != nil {
		lab.LeaveOut(t, err)
	}
	if _, err := n.Router.Run(addsUpRules, "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	live, err := capture.Open(n.Router.Path())
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	settings := func() string {
		return fmt.Sprint(live.Sysctl(capture.KeyLogInvalid), live.Sysctl(capture.KeyLoggerIPv4), live.Sysctl(capture.KeyLoggerIPv6))
	}
	wires := map[string]*lab.Wire{}
	for host, dev := range map[string]string{"client": "c0", "server": "s0"} {
		h := map[string]*lab.Host{"client": n.Client, "server": n.Server}[host]
		if wires[host], err = h.Wire("eth0", n.Router, dev); err != nil {
			t.Fatal(err)
		}
	}
	tap, err := n.Server.Tap("eth0")
	if err != nil {
		t.Fatal(err)
	}
	send := func(list []atom) {
		t.Helper()
		for _, a := range list {
			for range max(1, a.times) {
				if err := wires[a.from].Send(a.p); err != nil {
					t.Fatal(err)
				}
			}
		}
		end := packetOf("client", lab.Raw{Proto: 253, Payload: []byte("the end")})
		if err := wires["client"].Send(end); err != nil {
			t.Fatal(err)
		}
		if _, err := tap.Until(func(b []byte) bool { return bytes.HasSuffix(b, []byte("the end")) }); err != nil {
			t.Fatal(err)
		}
	}
	send(connection)
	was := settings()
	before, err := live.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}

	run := startListening(t, "--netns", n.Router.Path(), "invalid", "--nflog", "--enable", "--for", "1m", "-o", "json")
	send(atoms)
	doc := run.interrupt(t)
	after, err := live.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if now := settings(); now != was {
		t.Errorf("settings are %s, were %s", now, was)
	}

	want, silent, logged := map[string]uint64{}, map[string]uint64{}, map[string]uint64{}
	for _, a := range atoms {
		switch n := uint64(a.times); {
		case a.reason == "":
			silent[a.counter] += n
		default:
			want[a.reason] += n
			if a.counter != "" {
				logged[a.counter] += n
			}
		}
	}
	got := map[string]uint64{}
	for _, m := range doc.Messages {
		got[m.Proto+" "+m.Reason] += m.Count
		for _, f := range m.Flows {
			if mine := slices.ContainsFunc(atoms, func(a atom) bool { return a.flow && a.reason == m.Proto+" "+m.Reason }); mine != (f.Flow != nil) {
				t.Errorf("%s: flow %+v", m.Reason, f.Flow)
			} else if mine && (f.Rule == nil || f.Rule.Chain != "postrouting") {
				t.Errorf("%s: rule %+v", m.Reason, f.Rule)
			}
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("messages %v, want %v", got, want)
	}
	if doc.Lost != 0 || doc.Unparsed != 0 {
		t.Errorf("%d lost, %d not read", doc.Lost, doc.Unparsed)
	}
	delta := after.Since(before)
	moved := delta.Total()
	for _, c := range doc.Counters {
		k := slices.IndexFunc(counters.Table[:], func(row counters.Counter) bool { return row.Name == c.Counter })
		if c.Delta != moved.Values[k] || c.Explained != logged[c.Counter] || c.Delta-c.Explained != silent[c.Counter] || c.Over != 0 {
			t.Errorf("%s: delta %d, explained %d, over %d; the kernel counted %d, %d logged and %d not",
				c.Counter, c.Delta, c.Explained, c.Over, moved.Values[k], logged[c.Counter], silent[c.Counter])
		}
		if silent[c.Counter] > 0 && len(c.SilentCauses) == 0 {
			t.Errorf("%s: no cause of what is not logged", c.Counter)
		}
		delete(silent, c.Counter)
		delete(logged, c.Counter)
	}
	if len(silent) > 0 || len(logged) > 0 {
		t.Errorf("counters without an account: %v %v", silent, logged)
	}
	if doc.Verdict.Invalid != 15 || doc.Verdict.Accepted != 4 {
		t.Errorf("%d invalid, %d accepted", doc.Verdict.Invalid, doc.Verdict.Accepted)
	}
}

// listening is ntdiag while it listens.
type listening struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// startListening returns once it says that it listens.
func startListening(t *testing.T, args ...string) *listening {
	t.Helper()
	r := &listening{cmd: exec.Command("ntdiag", args...)}
	r.cmd.Stdout = &r.out
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.cmd.Process.Kill() })
	said := bufio.NewScanner(stderr)
	for said.Scan() {
		if strings.Contains(said.Text(), "listening to") {
			go io.Copy(io.Discard, stderr) //nolint:errcheck // ends with the process
			return r
		}
	}
	t.Fatalf("it does not listen: %v", r.cmd.Wait())
	return nil
}

// invalidAnswer is what of ntdiag.invalid/1 is compared.
type invalidAnswer struct {
	Lost, Unparsed uint64
	Verdict        struct{ Invalid, Accepted uint64 }
	Messages       []struct {
		Proto, Reason string
		Count         uint64
		Flows         []struct {
			Flow *struct{ ID uint32 }
			Rule *struct{ Chain, Text string }
		}
	}
	Counters []struct {
		Counter                string
		Delta, Explained, Over uint64
		SilentCauses           []string `json:"silent_causes"`
	}
}

// interrupt ends it as Ctrl-C does, and reads its answer: something was found.
func (r *listening) interrupt(t *testing.T) *invalidAnswer {
	t.Helper()
	if err := r.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(20*time.Second, func() { r.cmd.Process.Kill() })
	defer limit.Stop()
	if r.cmd.Wait(); r.cmd.ProcessState.ExitCode() != exitFound {
		t.Fatalf("exit code %d:\n%s", r.cmd.ProcessState.ExitCode(), &r.out)
	}
	doc := &invalidAnswer{}
	if err := json.Unmarshal(r.out.Bytes(), doc); err != nil {
		t.Fatal(err)
	}
	return doc
}
