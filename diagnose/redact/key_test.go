package redact

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

func newTestKeys(t *testing.T) *Keys {
	t.Helper()
	k, err := NewKeys(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func saved(t *testing.T, k *Keys) *Keys {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := k.Save(path); err != nil {
		t.Fatal(err)
	}
	if err := k.Save(path); err != nil { // in place of the other
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) > 0 {
		t.Fatalf("left over: %v", left)
	}
	back, err := ReadKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	if back.Warning != "" {
		t.Error(back.Warning)
	}
	return back
}

// Another bundle with the same key file has the same tokens and addresses.
func TestKeysAgain(t *testing.T) {
	c := &Constraints{}
	c.Range(mustAddr("10.0.0.3"), mustAddr("10.0.0.9"), "a rule")
	c.Bits(mustAddr("::ff"), "a mask")
	c.HostPart(rules.FamilyIPv4, 24, "netmap")
	c.Keep(netip.MustParsePrefix("10.3.0.0/16"), "asked")
	c.DevicePrefix("acme")
	k := newTestKeys(t)
	m, use := k.Mapper(c)
	if use != 1 {
		t.Fatal(use)
	}
	names := []Name{{Device, "acme7"}, {Device, "other"}, {Chain, "KUBE-SVC-ABC"}, {Comment, "caf\xe9 \x01"}, {SetName, "hosts"}}
	want := map[Name]string{}
	for _, n := range names {
		want[n] = m.Name(n.Kind, n.Text)
	}
	k.Learn(m)

	k = saved(t, k)
	again, use := k.Mapper(c)
	if use != 1 || k.Uses() != 1 {
		t.Fatal(use)
	}
	for _, n := range names {
		if got := again.Name(n.Kind, n.Text); got != want[n] {
			t.Errorf("%q becomes %s, then %s", n.Text, want[n], got)
		}
		if got := k.Use(1).Reveal(want[n]); got != n.Text {
			t.Errorf("%s is %q, not %q", want[n], got, n.Text)
		}
	}
	for _, a := range []string{"10.0.0.5", "10.3.7.7", "192.0.2.9", "fd00::1"} {
		if got, want := again.Addr(mustAddr(a)), m.Addr(mustAddr(a)); got != want {
			t.Errorf("%s becomes %v, then %v", a, want, got)
		}
	}

	// A use that asks for more is another; the first can still be taken back.
	more := &Constraints{}
	more.Bits(mustAddr("0.0.255.255"), "a rule")
	more.DevicePrefix("oth")
	m2, use := k.Mapper(more)
	if use != 2 {
		t.Fatal(use)
	}
	for _, s := range []string{"acme7", "acme8"} {
		if a, b := m2.Name(Device, s), m2.DevicePrefix("acme"); !strings.HasPrefix(a, b) {
			t.Errorf("%s becomes %s, without %s", s, a, b)
		}
	}
	if a, b := m2.Name(Device, "other"), m2.DevicePrefix("oth"); !strings.HasPrefix(a, b) {
		t.Errorf("other becomes %s, without %s", a, b)
	}
	k.Learn(m2)
	k = saved(t, k)
	a := mustAddr("172.16.3.99")
	if got := k.Use(1).Original(m.Addr(a)); got != a {
		t.Errorf("the first use: %v is %v, not %v", m.Addr(a), got, a)
	}
	if got := k.Use(2).Original(m2.Addr(a)); got != a {
		t.Errorf("the second use: %v is %v, not %v", m2.Addr(a), got, a)
	}
	for _, token := range []string{want[Name{Device, "other"}], m2.Name(Device, "other")} {
		if got := k.Use(2).Reveal("dev " + token + ";"); got != "dev other;" {
			t.Errorf("%s: %s", token, got)
		}
	}
}

func TestConstraintsAsJSON(t *testing.T) {
	c := &Constraints{}
	c.Range(mustAddr("fd00::3"), mustAddr("fd00::9"), "a")
	c.Range(mustAddr("10.0.0.0"), mustAddr("10.0.0.255"), "a prefix costs nothing")
	c.Bits(mustAddr("0.0.0.255"), "b")
	c.HostPart(rules.FamilyIPv6, 56, "c")
	c.Pin(mustAddr("10.0.0.1"), "d")
	c.DevicePrefix("wg")
	c.Subnet(netip.MustParsePrefix("10.1.0.0/16"), "e")
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	back := &Constraints{}
	if err := json.Unmarshal(text, back); err != nil {
		t.Fatal(err)
	}
	second, err := json.Marshal(back)
	if err != nil || string(second) != string(text) || back.size() != 6 {
		t.Errorf("%s\n%s %v", text, second, err)
	}
}

func TestKeysRefused(t *testing.T) {
	key := strings.Repeat("ab", 32)
	for name, text := range map[string]string{
		"empty":        "",
		"no json":      "hello",
		"an array":     "[]",
		"no version":   `{"key":"` + key + `"}`,
		"newer":        `{"version":2,"key":"` + key + `"}`,
		"no key":       `{"version":1}`,
		"a short key":  `{"version":1,"key":"abcd"}`,
		"no hex":       `{"version":1,"key":"` + strings.Repeat("zz", 32) + `"}`,
		"a kind":       `{"version":1,"key":"` + key + `","names":[{"token":"x","kind":"y","name":"eA=="}]}`,
		"no token":     `{"version":1,"key":"` + key + `","names":[{"kind":"chain","name":"eA=="}]}`,
		"a use":        `{"version":1,"key":"` + key + `","uses":[{}]}`,
		"a constraint": `{"version":1,"key":"` + key + `","uses":[{"constraints":{"masks":[{"mask":"","why":""}]}}]}`,
	} {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadKeys(path); !errors.Is(err, ErrKeys) || !strings.HasPrefix(err.Error(), path+": ") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadKeys(filepath.Join(t.TempDir(), "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := ReadKeys(t.TempDir()); !errors.Is(err, ErrKeys) {
		t.Error(err)
	}
}

func TestKeysReadableByOthers(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes of files tell nothing here")
	}
	path := filepath.Join(t.TempDir(), "key")
	if err := newTestKeys(t).Save(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if k, err := ReadKeys(path); err != nil || !strings.Contains(k.Warning, "0644") {
		t.Errorf("%v %v", k, err)
	}
	// A link is not followed, and nothing else is overwritten.
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if err := newTestKeys(t).Save(link); err == nil {
		t.Error("a link was replaced")
	}
}

func TestRevealInDocuments(t *testing.T) {
	m := New(testKey(1), nil)
	name := `a "b" <c> & d`
	token := m.Name(Comment, name)
	for in, want := range map[string]string{
		`{"comment":"` + token + `"}`:               `{"comment":"a \"b\" <c> & d"}`,
		`{"comment":"` + token + "\"}\n{\"x\":1}\n": `{"comment":"a \"b\" <c> & d"}` + "\n{\"x\":1}\n",
		"<p>" + token + "</p>":                      "<p>a &#34;b&#34; &lt;c&gt; &amp; d</p>",
		"comment " + token + ".":                    "comment " + name + ".",
	} {
		if got := m.Reveal(in); got != want {
			t.Errorf("%s becomes %s, not %s", in, got, want)
		}
	}
}

func TestKept(t *testing.T) {
	c := &Constraints{}
	c.Bits(mustAddr("0.0.0.255"), "a rule compares them")
	c.Bits(mustAddr("255.0.255.0"), "a rule compares them")
	c.Range(mustAddr("10.0.0.3"), mustAddr("10.0.0.9"), "a rule")
	c.Range(mustAddr("10.0.0.30"), mustAddr("10.0.0.90"), "a rule")
	c.Pin(mustAddr("8.8.8.8"), "asked")
	c.DevicePrefix("acme")
	m := New(testKey(1), c)
	var got []string
	for _, k := range m.Kept() {
		if strings.Contains(k.What+k.Why, "acme") || strings.Contains(k.What, "10.0.0.") {
			t.Errorf("an original: %v", k)
		}
		got = append(got, k.What)
	}
	if len(got) != 5 || got[4] != "where ranges of IPv4 addresses begin and end, inside the networks that they divide" || got[2] != "the bits 255.0.255.0 of IPv4 addresses" || got[3] != "the last 8 bits of IPv4 addresses" {
		t.Errorf("%q", got)
	}
	m.Addr(mustAddr("8.8.8.8"))
	m.Addr(mustAddr("127.0.0.1"))
	m.Addr(mustAddr("10.1.2.3"))
	m.Addr(mustAddr("10.1.2.3"))
	if seen := m.Seen(); seen.Addresses != 3 || seen.Unchanged != 2 {
		t.Errorf("%+v", seen)
	}
}

func FuzzParseKeys(f *testing.F) {
	f.Add([]byte(`{"version":1,"key":"` + strings.Repeat("ab", 32) + `","uses":[{"constraints":{"masks":[{"mask":"0.0.0.1","why":""}],"ranges":[{"first":"10.0.0.1","last":"10.0.0.4"}]}}],"names":[{"token":"chn-x","kind":"chain","name":"eA=="}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKeys(text)
		if err != nil {
			return
		}
		for n := range k.Uses() {
			k.Use(n + 1).Reveal("10.0.0.1 chn-x")
		}
		if _, err := k.text(); err != nil {
			t.Fatal(err)
		}
	})
}
