package capture

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// untold are the losses that this kernel gives no way to see.
var untold = map[string]string{
	"security context": "no security module is active",
	"offload":          "flow offload is not built in",
	"event mask":       "nothing shows it",
}

// losses holds each row of InsertLoses against the kernel: what is lost was
// there before, and is not afterwards.
var losses = map[string]struct {
	rules string
	// before makes entries, after goes on with them once they were made again
	before, after func(w *wire)
	seen          func(t *testing.T, before, after []host.Flow)
}{
	// of the id that it is the same or another one cannot be tested
	"id":       {rules: nat, before: oneUDP, seen: func(t *testing.T, before, _ []host.Flow) { want(t, before[0].ID != 0) }},
	"counters": {rules: nat, before: oneUDP, seen: func(t *testing.T, b, a []host.Flow) { want(t, b[0].Orig.Packets == 1 && a[0].Orig.Packets == 0) }},
	"start":    {rules: nat, before: oneUDP, seen: func(t *testing.T, b, a []host.Flow) { want(t, b[0].Start != 0 && a[0].Start > b[0].Start) }},
	"labels": {
		rules:  nat + labelsRules,
		before: func(w *wire) { oneUDP(w); run(w.t, "", "nft", "delete", "table", "inet", "l") },
		seen: func(t *testing.T, b, a []host.Flow) {
			want(t, b[0].Labels != [16]byte{} && a[0].Labels == [16]byte{})
		},
	},
	"masquerade": {
		rules:  "table ip n { chain s { type nat hook postrouting priority 100; masquerade; }; }\n",
		before: oneUDP,
		// the kernel drops the entries of an address that goes in its own time:
		// another one that is as it was says when
		after: func(w *wire) {
			w.udp(host.ProtoUDP, plain(end{"192.0.2.1", 4009}, end{"192.0.2.2", 80}), false)
			run(w.t, "", "ip", "addr", "del", "198.51.100.1/24", "dev", "d0")
			l := openHere(w.t, "")
			for range 10000 {
				if flows, _ := flowsOf(w.t, l, Filter{}); len(flows) == 1 {
					return
				}
			}
			w.t.Error("no entry ended with the address")
		},
		seen: func(t *testing.T, b, a []host.Flow) { want(t, len(a) == 1 && a[0].Original == b[0].Original) },
	},
	"timeout policy": {
		rules: `table ip n {
 ct timeout slow { protocol udp; l3proto ip; policy = { unreplied : 300, replied : 500 }; }
 chain o { type filter hook output priority 0; ct timeout set "slow"; }
}
`,
		before: oneUDP, after: oneUDP,
		seen: func(t *testing.T, b, a []host.Flow) { want(t, b[0].Timeout > 290 && a[0].Timeout <= 30) },
	},
	"helper data": {
		rules: nat + ftpRules,
		before: func(w *wire) {
			w.ftpAsks(plain(end{"192.0.2.1", 4000}, end{"192.0.2.2", 21}))
			want(w.t, strings.Contains(expected(w.t), "dport=5005"))
		},
		seen: func(t *testing.T, _, a []host.Flow) { want(t, a[0].Helper == "ftp" && expected(t) == "") },
	},
	"tcp windows": {
		rules:  nat,
		before: func(w *wire) { w.tcp(plain4, tcpWays["ESTABLISHED"]) },
		// far outside of any window
		after: func(w *wire) { w.packet(6, plain4.a.addr, plain4.b.addr, segment(4000, 80, 1<<30, 1<<30, ack, "")) },
		seen:  func(t *testing.T, _, a []host.Flow) { want(t, a[0].Orig.Packets == 1) },
	},
	"tcp handshake": {
		rules:  nat,
		before: func(w *wire) { w.tcp(plain4, "c:S") },
		after:  func(w *wire) { w.packet(6, plain4.c.addr, plain4.d.addr, segment(80, 4000, 500000, 1001, syn|ack, "")) },
		seen: func(t *testing.T, b, a []host.Flow) {
			want(t, a[0].Repl.Packets == 0 && a[0].State() == "SYN_SENT" && b[0].TCPScale[Original] == 7 && a[0].TCPScale[Original] == 0)
		},
	},
	"udp stream": {
		rules:  nat,
		before: func(w *wire) { w.udp(host.ProtoUDP, plain4, true) }, after: oneUDP,
		seen: func(t *testing.T, b, a []host.Flow) {
			want(t, !b[0].Status.Has(host.StatusAssured) && a[0].Status.Has(host.StatusAssured))
		},
	},
	"gre timeouts": {
		rules:  nat,
		before: func(w *wire) { w.packet(host.ProtoGRE, "192.0.2.1", "192.0.2.2", make([]byte, 24)) },
		after:  func(w *wire) { w.packet(host.ProtoGRE, "192.0.2.1", "192.0.2.2", make([]byte, 24)) },
		seen:   func(t *testing.T, b, a []host.Flow) { want(t, len(b) == 1 && len(a) == 0) },
	},
}

func oneUDP(w *wire) { w.udp(host.ProtoUDP, plain4, false) }

func want(t *testing.T, ok bool) {
	t.Helper()
	if !ok {
		t.Error("the kernel does otherwise")
	}
}

// expected are the expectations of the namespace of the test's thread.
func expected(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("/proc/thread-self/net/nf_conntrack_expect")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestInsertLoses(t *testing.T) {
	for _, row := range InsertLoses {
		t.Run(row.What, func(t *testing.T) {
			loss, tested := losses[row.What]
			switch {
			case row.What == "status" || row.What == "master":
				return // TestInsertKinds, TestInsertRefusals
			case untold[row.What] != "":
				return
			case !tested:
				t.Fatal("no test")
			}
			t.Parallel()
			w := newWire(t, loss.rules)
			loss.before(w)
			l := openHere(t, "")
			e := entriesHere(t, l)
			before, _ := flowsOf(t, l, Filter{})
			for _, f := range before {
				if row.Of != nil && !row.Of(&f) {
					t.Errorf("the row is not of %+v", f)
				}
				if err := e.Delete(context.Background(), &f); err != nil {
					t.Fatal(err)
				}
				if err := e.Insert(context.Background(), &f); err != nil {
					t.Fatal(err)
				}
			}
			if loss.after != nil {
				loss.after(w)
			}
			after, _ := flowsOf(t, l, Filter{})
			loss.seen(t, before, after)
		})
	}
}
