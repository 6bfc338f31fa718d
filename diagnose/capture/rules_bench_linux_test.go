package capture

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/walk"
)

// serviceRuleset is one shaped as kube-proxy writes it: a chain of n/2 rules
// that dispatch, n/8 service chains of four rules each, and a map of m
// elements from address, protocol and port to a chain.
func serviceRuleset(n, m int) string {
	var b strings.Builder
	b.WriteString("table ip services {\n")
	chains := n / 8
	for i := range chains {
		fmt.Fprintf(&b, "\tchain svc-%d {\n", i)
		fmt.Fprintf(&b, "\t\tip saddr != 10.244.0.0/16 counter meta mark set mark or 0x4000 comment \"service %d\"\n", i)
		for k := range 3 {
			fmt.Fprintf(&b, "\t\tip protocol tcp counter dnat to 10.244.%d.%d:%d\n", i%250, 1+k, 8000+k)
		}
		b.WriteString("\t}\n")
	}
	fmt.Fprintf(&b, "\tmap ports {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n\t\telements = {\n")
	for i := range m {
		fmt.Fprintf(&b, "10.%d.%d.%d . tcp . %d : goto svc-%d,\n", 96+i>>16&7, i>>8&255, i&255, 80+i%7, i%chains)
	}
	b.WriteString("\t\t}\n\t}\n\tchain dispatch {\n")
	for i := range n / 2 {
		fmt.Fprintf(&b, "\t\tip daddr 10.112.%d.%d tcp dport %d counter jump svc-%d\n", i>>8, i&255, 80+i%5, i%chains)
	}
	b.WriteString("\t}\n\tchain pre {\n\t\ttype nat hook prerouting priority dstnat; policy accept;\n")
	b.WriteString("\t\tip daddr . ip protocol . th dport vmap @ports\n\t\tjump dispatch\n\t}\n}\n")
	return b.String()
}

// BenchmarkReadRuleset reads NTDIAG_BENCH_RULES (40,000) rules and a map of
// NTDIAG_BENCH_ELEMENTS (100,000) elements until questions can be asked, by
// turns with `nft list ruleset`: how long that takes, and how much memory.
func BenchmarkReadRuleset(b *testing.B) {
	n, m := benchSize(b, "NTDIAG_BENCH_RULES", 40000), benchSize(b, "NTDIAG_BENCH_ELEMENTS", 100000)
	l, err := lab.New()
	if err != nil {
		b.Skipf("kernel benchmark left out: %v", err)
	}
	defer l.Close()
	h, err := l.Host("router")
	if err != nil {
		b.Fatal(err)
	}
	nft := func(in io.Reader, args ...string) {
		b.Helper()
		err := h.Do(func() error {
			cmd := exec.Command("nft", args...)
			cmd.Stdin = in
			cmd.Stderr = os.Stderr
			return cmd.Run()
		})
		if err != nil {
			b.Fatalf("nft %v: %v", args, err)
		}
	}
	nft(strings.NewReader(serviceRuleset(n, m)), "-f", "-")
	var ours, theirs []time.Duration
	var live, made uint64
	for b.Loop() {
		for range 3 {
			start := time.Now()
			nft(nil, "list", "ruleset")
			theirs = append(theirs, time.Since(start))
			var took time.Duration
			took, live, made = benchMemory(func() any { return benchRead(b, h, n, m) })
			ours = append(ours, took)
		}
	}
	b.ReportMetric(float64(median(ours).Milliseconds()), "ms/read")
	b.ReportMetric(float64(median(theirs).Milliseconds()), "ms/nft-list")
	b.ReportMetric(float64(median(ours))/float64(median(theirs)), "ratio")
	b.ReportMetric(float64(live)/(1<<20), "MiB-kept")
	b.ReportMetric(float64(made)/(1<<20), "MiB-made")
}

// benchMemory runs f: how long it took, how many bytes of what it gave are in use
// after a collection, and how many it made on the way.
func benchMemory(f func() any) (took time.Duration, live, made uint64) {
	var before, after, end runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	got := f()
	took = time.Since(start)
	runtime.ReadMemStats(&after)
	runtime.GC()
	runtime.ReadMemStats(&end)
	runtime.KeepAlive(got)
	return took, end.HeapAlloc - min(before.HeapAlloc, end.HeapAlloc), after.TotalAlloc - before.TotalAlloc
}

// benchRead opens the namespace, reads, and makes ready to walk; what it gives
// holds all that was read.
func benchRead(b *testing.B, h *lab.Host, n, m int) *walk.Walker {
	b.Helper()
	live, err := Open(h.Path())
	if err != nil {
		b.Fatal(err)
	}
	defer live.Close()
	s, err := live.Snapshot(context.Background())
	if err != nil {
		b.Fatal(err)
	}
	w := walk.New(s.Rules)
	if w.Orders(rules.Prerouting, rules.FamilyIPv4) != 0 {
		b.Fatal("order of chains is not known")
	}
	got, elements := 0, 0
	for _, t := range s.Rules.Tables {
		for _, c := range t.Chains {
			got += len(c.Rules)
		}
		for _, set := range t.Sets {
			elements += len(set.Elements)
		}
	}
	if got < n || elements != m || len(s.Missing) > 0 {
		b.Fatalf("%d rules, %d elements, missing %v", got, elements, s.Missing)
	}
	return w
}

func benchSize(b *testing.B, name string, otherwise int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 8 {
		b.Fatalf("%s=%q is no number of at least 8", name, text)
	}
	return n
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
