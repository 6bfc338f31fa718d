package main

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/lab/scale"
)

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		of   []float64
		want float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 2}, 2},
		{[]float64{4, 1, 2, 9}, 3},
	} {
		if got := median(c.of); got != c.want {
			t.Errorf("median of %v: %v, want %v", c.of, got, c.want)
		}
	}
}

func samples(peakKiB int, walls ...time.Duration) (out []Sample) {
	for _, w := range walls {
		out = append(out, Sample{Wall: w, CPU: w / 2, PeakKiB: peakKiB})
	}
	return out
}

func TestJudge(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	ratio, within := &Row{Name: "r", AtMost: 0.75, PeakMiB: 128}, &Row{Name: "v", Within: ms(10)}
	for _, c := range []struct {
		name         string
		row          *Row
		ours, theirs []Sample
		ratio        string
		missed       int
	}{
		{"below", ratio, samples(1000, ms(70), ms(900), ms(74)), samples(0, ms(100), ms(90), ms(300)), "0.74", 0},
		{"at", ratio, samples(128<<10, ms(75)), samples(0, ms(100)), "0.75", 0},
		{"above", ratio, samples(0, ms(76)), samples(0, ms(100)), "0.76", 1},
		{"memory", ratio, samples(128<<10+1, ms(1)), samples(0, ms(100)), "0.01", 1},
		{"both", ratio, samples(999999, ms(200)), samples(0, ms(100)), "2.00", 2},
		{"ended", ratio, []Sample{{Wall: ms(300), Over: true}}, samples(0, ms(100)), "> 3.0", 1},
		{"within", within, samples(0, ms(12)), samples(0, ms(2)), "+10.0 ms", 0},
		{"beyond", within, samples(0, ms(13)), samples(0, ms(2)), "+11.0 ms", 1},
		{"faster", within, samples(0, ms(1)), samples(0, ms(2)), "-1.00 ms", 0},
	} {
		r := &Result{Name: c.row.Name, row: c.row, Ours: sideOf(nil, c.ours), Theirs: sideOf(nil, c.theirs)}
		r.judge()
		if r.ratio() != c.ratio || len(r.Missed) != c.missed {
			t.Errorf("%s: ratio %s, missed %q, want %s and %d", c.name, r.ratio(), r.Missed, c.ratio, c.missed)
		}
		report := Report{Results: []*Result{r}}
		if got := report.code(true) == exitMissed; got != (c.missed > 0) || report.code(false) != exitOK {
			t.Errorf("%s: exit codes %d and %d", c.name, report.code(true), report.code(false))
		}
		r.Wrong = []string{"x"}
		if report.code(false) != exitMissed || r.verdict() != "WRONG" {
			t.Errorf("%s: a wrong answer has exit code %d", c.name, report.code(false))
		}
	}
}

func TestSeconds(t *testing.T) {
	for _, c := range []struct {
		s    float64
		want string
	}{{0, "0.00 ms"}, {0.00123, "1.23 ms"}, {0.0123, "12.3 ms"}, {0.999, "999 ms"}, {1.234, "1.23 s"}, {12.34, "12.3 s"}, {600, "600 s"}, {-0.0012, "-1.20 ms"}} {
		if got := seconds(c.s); got != c.want {
			t.Errorf("%v: %q, want %q", c.s, got, c.want)
		}
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567"} {
		if got := thousands(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestParse(t *testing.T) {
	for _, c := range []struct{ args, err string }{
		{"", ""},
		{"-flows 50000 -rules 2000 -shapes nft", ""},
		{"-flows 1", "-flows 1: want 100 to 4000000"},
		{"-runs 0", "-runs 0: want 1 to 1000"},
		{"-shapes nft,ebtables", `-shapes "ebtables": known are nft, iptables-nft, iptables-legacy`},
		{"more", `"more": no arguments are taken, only flags`},
		{"-flows many", `usage: ntbench [flags]: invalid value "many" for flag -flows: parse error`},
	} {
		_, err := parse(strings.Fields(c.args), io.Discard)
		if got := errorText(err); got != c.err {
			t.Errorf("%s: %s, want %s", c.args, got, c.err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestRows looks for what every row has to have.
func TestRows(t *testing.T) {
	for i := range Rows {
		r := &Rows[i]
		if r.Name == "" || r.Work == "" || len(r.Ours) == 0 || len(r.Theirs) == 0 || (r.AtMost > 0) == (r.Within > 0) || (r.Asked == "") != (r.Answer == nil) {
			t.Errorf("%+v", r)
		}
		for _, s := range r.Shapes {
			if len(r.Name+", "+s) >= 30 {
				t.Errorf("%s, %s: too long for its column", r.Name, s)
			}
		}
	}
}

func TestAnswers(t *testing.T) {
	shape := &scale.Shapes[0]
	b := &built{shape: shape, cluster: shape.Cluster(100), flows: 100}
	b.flow, b.kind = scale.At(b.cluster, 0)
	changing := *b
	changing.flows, changing.changing = 1, true
	one := func(id, proto, src string) string {
		return `{"id":` + id + `,"proto":"` + proto + `","original":{"src":"` + src + `"}}` + "\n"
	}
	flow := func(class, sure string) string { return `{"class":"` + class + `","confidence":"` + sure + `"}` }
	gone := strings.Repeat(flow("target-changed", "certain")+",", 2) + strings.Repeat(flow("rule-gone", "certain")+",", 2)
	for _, c := range []struct {
		name     string
		b        *built
		ask      answer
		out, err string
	}{
		{"flows", &changing, answerFlows, one("1", "tcp", "10.0.0.1") + one("2", "udp", "10.0.0.1") + one("1", "udp", "10.0.0.2"), ""},
		{"flow twice", &changing, answerFlows, one("1", "tcp", "10.0.0.1") + one("1", "tcp", "10.0.0.1"), "1 flows are reported twice"},
		{"flow missing", &changing, answerFlows, one("2", "udp", "10.0.0.1"), "0 flows that were there all the time, want 1"},
		{"half a line", &changing, answerFlows, `{"id":1`, "EOF"},
		{"read", b, answerRead, "100\n", ""},
		{"read less", b, answerRead, "99\n", "99 entries, want 100"},
		{"stale", b, answerStale, `{"stale":[` + gone + flow("not-yet-nat", "certain") + `],"checked":100,"fresh":95,"undecided":0,"groups":[{"a":1}]}`, ""},
		{"stale unsure", b, answerStale, `{"stale":[` + gone + flow("not-yet-nat", "likely") + `],"checked":100,"fresh":94,"undecided":1}`,
			"flows fresh: 94, want 95; flows not-yet-nat, certain: 0, want 1; flows not-yet-nat, likely: 1, want 0; flows undecided: 1, want 0"},
		{"stale of less", b, answerStale, `{"stale":[],"checked":99}`, "99 flows checked, want 100"},
		{"rules", b, answerRules, `{"rules":[],"attributed":{"flows":99,"exact":20,"inferred":95,"ambiguous":0,"none":4}}`, ""},
		{"rules wrong", b, answerRules, `{"attributed":{"exact":21,"inferred":94,"none":4}}`, "rewrites exact: 21, want 20; rewrites inferred: 94, want 95"},
		{"rules untold", b, answerRules, `{"attributed":true}`, "attributed: json: cannot unmarshal bool into Go value of type map[explain.Grade]int"},
		{"explain", b, answerExplain, `{"flows":[{"rewrites":[{"kind":"dnat","grade":"inferred"}]}]}`, ""},
		{"explain wrong", b, answerExplain, `{"flows":[{"rewrites":[{"kind":"dnat","grade":"exact"}]}]}`, "rewrites dnat exact: 1, want 0; rewrites dnat inferred: 0, want 1"},
		{"explain nothing", b, answerExplain, `{"flows":[]}`, "0 flows, want one"},
	} {
		if got := errorText(c.ask(c.b, strings.NewReader(c.out))); got != c.err {
			t.Errorf("%s: %q, want %q", c.name, got, c.err)
		}
	}
	if err := answerReady(b, strings.NewReader(`{"Fates":{"fresh":1},"Grades":{}}`)); err == nil {
		t.Error("a wrong answer of ready is taken")
	}
}

func TestAxis(t *testing.T) {
	for _, c := range []struct {
		name  string
		a     axis
		ticks []float64
	}{
		{"linear", axis{hi: 3.7}, []float64{0, 1, 2, 3, 4}},
		{"linear, small", axis{hi: 0.017}, []float64{0, 0.005, 0.01, 0.015, 0.02}},
		{"linear, nothing", axis{}, []float64{0, 0.2, 0.4, 0.6, 0.8, 1}},
		{"log", axis{log: true, lo: 0.02, hi: 4}, []float64{0.01, 0.1, 1, 10}},
		{"log, one value", axis{log: true, lo: 1, hi: 1}, []float64{1, 10}},
	} {
		c.a.from, c.a.to = 100, 0
		c.a.widen()
		got := c.a.ticks()
		same := len(got) == len(c.ticks)
		for i := 0; same && i < len(got); i++ {
			same = math.Abs(got[i]-c.ticks[i]) < 1e-9
		}
		if !same {
			t.Errorf("%s: %v, want %v", c.name, got, c.ticks)
		}
		if from, to := c.a.at(got[0]), c.a.at(got[len(got)-1]); math.Abs(from-100) > 1e-6 || math.Abs(to) > 1e-6 {
			t.Errorf("%s: from %v to %v, want 100 to 0", c.name, from, to)
		}
	}
}

// TestFigures holds plots against the points: each is there, in XML that asks
// for nothing.
func TestFigures(t *testing.T) {
	r := &Report{Sizes: Sizes{Flows: 1000000, Rules: 40000}}
	for _, axis := range []string{"flows", "rules"} {
		for i, name := range growing() {
			for _, n := range []int{1000, 10, 100} {
				r.Growth = append(r.Growth, Point{Axis: axis, Shape: "a<b", N: n, Name: name, Seconds: float64(n*(i+1)) / 100, PeakKiB: 1024 * n})
			}
		}
	}
	figures := r.figures()
	if len(figures) != 2 {
		t.Fatalf("%d figures, want 2", len(figures))
	}
	for _, f := range figures {
		var b strings.Builder
		f.write(&b)
		circles := 0
		d := xml.NewDecoder(strings.NewReader(b.String()))
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", f.Name, err)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			if e.Name.Local == "circle" {
				circles++
			}
			for _, a := range e.Attr {
				if e.Name.Local == "script" || strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" || strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") {
					t.Errorf("%s: <%s %s=%q>", f.Name, e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
		n := len(growing())
		if want := n + 2*3*n; circles != want { // of the legend, and points of two charts
			t.Errorf("%s: %d points, want %d", f.Name, circles, want)
		}
		// the reference looks alike where another line is missing
		if s := f.Charts[0].Series[n-1]; s.Name != dump || s.Look != looks-1 {
			t.Errorf("%s: the last line is %s, with look %d", f.Name, s.Name, s.Look)
		}
		// the points of a line are in order: it does not turn back
		if got := f.Charts[0].Series[0].Points; got[0][0] != 10 || got[2][0] != 1000 {
			t.Errorf("%s: %v", f.Name, got)
		}
	}
}

// TestPage holds results.md against the results.
func TestPage(t *testing.T) {
	row := &Rows[0]
	r := &Report{
		Kernel: "6.18.1", Cores: 2, Go: "go1.26", Date: time.Unix(0, 0), Sizes: Sizes{Flows: 1000, Runs: 5},
		Growth: []Point{{Axis: "flows", Shape: "nft", N: 10000, Name: "stale", Seconds: 0.1, PeakKiB: 2048}},
		Results: []*Result{{
			Name: row.Name, Shape: "nft", row: row, Ratio: 0.5, Ours: Side{Seconds: 1.5, CPU: 2, PeakKiB: 20000}, Theirs: Side{Seconds: 3, CPU: 2.5},
			Missed: []string{"why"},
		}},
	}
	var b strings.Builder
	r.page(&b, []string{"growth-flows-nft.svg"})
	for _, want := range []string{
		"kernel 6.18.1, 2 cores",
		row.fixed() + " nft | 0.50 | 1.50 s | 3.00 s | 2.00 s, 2.50 s | 20 | **MISSED** |\n",
		"\nflows, nft: why\n",
		"| flows | 10,000 | nft | stale | 100 ms | 0.00 ms | 2 |\n",
		"![growth-flows-nft](growth-flows-nft.svg)",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

// TestIntoReadme puts a table where another was, and leaves the rest.
func TestIntoReadme(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	row := &Rows[len(Rows)-1]
	r := &Report{Results: []*Result{{Name: row.Name, row: row}}}
	if err := os.WriteFile(path, []byte("no table\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.intoReadme(path); err == nil {
		t.Error("a file without a table: no error")
	}
	if err := os.WriteFile(path, []byte("before\n"+readmeBegin+"old\n"+readmeEnd+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.intoReadme(path); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if s := string(text); strings.Contains(s, "old") || strings.Count(s, row.fixed()) != 1 ||
		!strings.HasPrefix(s, "before\n"+readmeBegin) || !strings.HasSuffix(s, readmeEnd+"after\n") {
		t.Errorf("%s", s)
	}
}

// TestReadme holds the rows of the README's table against Rows: what is
// measured, beside what, and the bound.
func TestReadme(t *testing.T) {
	data, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), readmeBegin)
	section, _, _ := strings.Cut(rest, readmeEnd)
	_, table, found := strings.Cut(section, tableHead)
	if !found {
		t.Fatalf("no table between %q and %q, with this head:\n%s", readmeBegin, readmeEnd, tableHead)
	}
	lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
	for i := range Rows {
		r := &Rows[i]
		shapes := r.Shapes
		if shapes == nil {
			shapes = allShapes[:1]
		}
		if r.Stage == Bare {
			shapes = []string{""}
		}
		for _, s := range shapes {
			if len(lines) == 0 || !strings.HasPrefix(lines[0], r.fixed()+" "+s+" |") {
				t.Fatalf("want a row %s %s |, have %q", r.fixed(), s, lines)
			}
			lines = lines[1:]
		}
	}
	if len(lines) > 0 {
		t.Errorf("rows that are not measured: %q", lines)
	}
}
