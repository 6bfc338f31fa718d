package nft

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/rogpeppe/go-internal/txtar"
)

var (
	update = flag.Bool("update", false, "write what is decoded now into the fixtures")
	record = flag.Bool("record", false, "load the fixtures' rulesets into the kernel and keep what it answers (needs root)")
)

// recorded is one message of a dump.
type recorded struct {
	kind    string // a key of adders
	payload []byte // with its nfgenmsg
}

// adders are the Builder's methods by the name that fixtures use.
var adders = map[string]func(*Builder, []byte) error{
	"table": (*Builder).AddTable, "chain": (*Builder).AddChain, "set": (*Builder).AddSet,
	"object": (*Builder).AddObject, "flowtable": (*Builder).AddFlowtable,
	"elements": (*Builder).AddElements, "rule": (*Builder).AddRule,
}

// build gives the messages to a Builder.
func build(t *testing.T, order binary.ByteOrder, msgs []recorded) *rules.Ruleset {
	t.Helper()
	b := NewBuilder(order)
	for _, m := range msgs {
		if err := adders[m.kind](b, m.payload); err != nil {
			t.Errorf("add %s: %v", m.kind, err)
		}
	}
	return b.Finish(1)
}

// The files of a fixture: the ruleset as its tool reads it, the messages that
// the kernel gave for it, one a line as kind and hex, and the decoded model.
const (
	fileMessages = "messages"
	fileWant     = "want"
)

// TestFixtures decodes messages recorded from a kernel (little-endian).
func TestFixtures(t *testing.T) {
	paths, err := filepath.Glob("testdata/nft/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { testFixture(t, path) })
	}
}

func testFixture(t *testing.T, path string) {
	ar, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if *record {
		setFile(ar, fileMessages, formatMessages(recordRuleset(t, ar)))
	}
	rs := build(t, binary.LittleEndian, parseMessages(t, fileOf(ar, fileMessages)))
	checkRuleset(t, rs)
	got := printRuleset(rs)
	if *record || *update {
		setFile(ar, fileWant, []byte(got))
		if err := os.WriteFile(path, txtar.Format(ar), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(fileOf(ar, fileWant)), got); diff != "" {
		t.Errorf("decoded differently (-want +got):\n%s", diff)
	}
}

func fileOf(ar *txtar.Archive, name string) []byte {
	for _, f := range ar.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

func setFile(ar *txtar.Archive, name string, data []byte) {
	for i := range ar.Files {
		if ar.Files[i].Name == name {
			ar.Files[i].Data = data
			return
		}
	}
	ar.Files = append(ar.Files, txtar.File{Name: name, Data: data})
}

func formatMessages(msgs []recorded) []byte {
	var b bytes.Buffer
	for _, m := range msgs {
		fmt.Fprintf(&b, "%s %x\n", m.kind, m.payload)
	}
	return b.Bytes()
}

func parseMessages(t testing.TB, data []byte) []recorded {
	t.Helper()
	var out []recorded
	sc := bufio.NewScanner(bytes.NewReader(data))
	sc.Buffer(nil, 1<<24)
	for sc.Scan() {
		kind, text, _ := strings.Cut(sc.Text(), " ")
		payload, err := hex.DecodeString(text)
		if err != nil || adders[kind] == nil {
			t.Fatalf("message %q: %v", sc.Text(), err)
		}
		out = append(out, recorded{kind, payload})
	}
	return out
}
