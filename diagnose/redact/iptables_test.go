package redact

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every option in the rules that the extensions are tested with has a row, and
// what is no name or address stays.
func TestEveryOptionIsKnown(t *testing.T) {
	files, err := filepath.Glob("../../rules/xt/testdata/*.rules*")
	if err != nil || len(files) < 10 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m := New(testKey(1), nil)
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			got := m.IptablesRule(line)
			before, after := arguments(line), arguments(got)
			if len(before) != len(after) && line[0] != '#' {
				t.Fatalf("%s: %s\nbecomes %s", f, line, got)
			}
			if !strings.HasPrefix(line, "-") {
				continue
			}
			row := option{}
			for i, w := range before {
				if strings.HasPrefix(w, "-") && len(w) > 1 {
					r, known := iptablesOptions()[w]
					if !known {
						t.Errorf("%s: %s: no row for %s", f, line, w)
					}
					row = r
				}
				if w != after[i] && (row.value == nil || strings.HasPrefix(w, "-") || slices.Contains(strings.Fields(optionsThatStay(t)), w)) {
					t.Errorf("%s: %s\nbecomes %s: %s should stay", f, line, got, w)
				}
			}
			if back := m.Reveal(got); back != line && !strings.Contains(line, `"`) {
				t.Errorf("%s: %s\nbecomes %s\nand that %s", f, line, got, back)
			}
		}
	}
}

// optionsThatStay are the options whose first value stays.
func optionsThatStay(t *testing.T) string {
	t.Helper()
	var out []string
	m := New(testKey(1), nil)
	for _, row := range optionRows {
		if row.option.value != nil && row.option.value(m, "acme-secret") == "acme-secret" {
			out = append(out, row.names)
		}
	}
	return strings.Join(out, " ")
}

func arguments(s string) []string {
	var out []string
	for i := 0; i < len(s); {
		if s[i] == ' ' {
			i++
			continue
		}
		w, _, end := cutArgument(s, i)
		out = append(out, w)
		i = end
	}
	return out
}

// Whatever an option's value is, what is secret in it goes, unless the option
// has words of its own only.
func TestOptionsHide(t *testing.T) {
	stay := map[string]bool{}
	for w := range words(optionsThatStay(t)).set() {
		stay[w] = true
	}
	if len(stay) < 100 || stay["--comment"] || stay["--to-destination"] {
		t.Fatal(len(stay))
	}
	secrets := []string{"acme-secret", "10.11.12.13", "fd00:12::34", "52:54:00:12:34:56", "10.11.12.0/24", "10.11.12.13/255.255.0.255", "[fd00:12::34]:80"}
	m := New(testKey(1), nil)
	for name := range iptablesOptions() {
		for _, secret := range secrets {
			for _, line := range []string{name + " " + secret, "-A INPUT ! " + name + ` "` + secret + `" -j ACCEPT`, name + "=" + secret} {
				got := m.IptablesRule(line)
				gone := true
				for _, part := range []string{"acme", "10.11.12.", "fd00:12::34", "12:34:56"} {
					gone = gone && !strings.Contains(got, part)
				}
				if !gone && !stay[name] {
					t.Errorf("%s becomes %s", line, got)
				}
				if strings.HasSuffix(line, "-j ACCEPT") && (!strings.HasPrefix(got, "-A INPUT ! "+name+" ") || !strings.HasSuffix(got, " -j ACCEPT")) {
					t.Errorf("%s becomes %s", line, got)
				}
			}
		}
	}
	for _, line := range []string{"-A INPUT --acme-secret x", "-A INPUT acme-secret", "--dport 80 acme-secret", "-j ACCEPT acme-secret", "-m acme-secret", "*acme-secret", ":acme-secret - [0:0]", "# acme-secret",
		":INPUT acme-secret [0:0]", "[acme-secret:5]", "--syn acme-secret", `--comment "x acme-secret`, "-j acme-secret", "--to acme-secret.example"} {
		if got := New(testKey(1), nil).IptablesRule(line); strings.Contains(got, "acme") {
			t.Errorf("%s becomes %s", line, got)
		}
	}
}

func TestIptablesRule(t *testing.T) {
	for _, pattern := range []string{
		"-A PREROUTING -d <192.0.2.7/32> -i eth0 -p tcp -m tcp --dport 80 -j DNAT --to-destination <10.1.2.3>:8080",
		"-A POSTROUTING -s <10.1.2.0/24> -o {acme-up} -j SNAT --to-source <192.0.2.1-192.0.2.2>:1024-65535 --random --persistent",
		"[12:3456] -A {acme-in} -m set ! --match-set {acme-hosts} src,dst -g {acme-out}",
		"-A INPUT -m iprange --src-range <10.1.2.3-10.1.2.9> -m mac --mac-source <52:54:00:12:34:56> -j ACCEPT",
		"-A PREROUTING -d <fd00:1::7/128> -p tcp -j DNAT --to-destination [<fd00:2::3>]:8080",
		"-A INPUT -s <10.1.2.3/32>,<10.1.3.0/24> -m recent --update --seconds 60 --hitcount 4 --name {acme} --mask 255.255.255.255 --rsource -j DROP",
		"-A INPUT -s <10.1.2.3>/255.0.0.255 -m time --timestart 12:34:56 --datestop 2038-01-19T03:14:07 --weekdays Mon,Tue -j LOG --log-prefix \"{ACME-DROP}: \"",
		"-A PREROUTING -j NETMAP --to <10.7.0.0/16>",
		"-A INPUT -m string --string \"{acme}\" --algo bm --to 65535 -m owner --uid-owner 1000-2000 -j MARK --set-xmark 0x10/0xff",
		"-A INPUT -m limit --limit 5/min --limit-burst 7 -m conntrack --ctstate RELATED,ESTABLISHED --ctorigdst <10.1.2.3/32> -j TEE --gateway <10.1.2.9>",
		"*nat", ":PREROUTING ACCEPT [12:34]", ":{acme-in} - [0:0]", "COMMIT",
		"-A INPUT -m comment --comment \"allow ssh from lan\" -j KUBE-SERVICES",
		"DNAT --to-destination <10.1.2.3>:8080", "--comment {Bob}",
	} {
		m := New(testKey(1), nil)
		for name, k := range map[string]Kind{"acme-in": Chain, "acme-out": Chain, "acme-hosts": SetName, "acme": SetName, "ACME-DROP": LogPrefix, "Bob": Comment, "acme-up": Device} {
			m.Name(k, name)
		}
		if strings.Contains(pattern, "--string") {
			m = New(testKey(1), nil)
			m.Name(Word, "acme")
		}
		in, want := expected(t, m, pattern)
		if got := m.IptablesRule(in); got != want {
			t.Errorf("%s\nbecomes %s\nnot     %s", in, got, want)
		} else if back := m.Reveal(got); back != in {
			t.Errorf("%s\nbecomes %s\nand that %s", in, got, back)
		}
	}
}

func TestIptablesDevicePattern(t *testing.T) {
	c := &Constraints{}
	c.DevicePrefix("acme")
	c.DevicePrefix("wg")
	m := New(testKey(1), c)
	got := arguments(m.IptablesRule("-A INPUT -i acme+ -o wg+"))
	if name := m.Name(Device, "acme7"); !strings.HasPrefix(name, strings.TrimSuffix(got[3], "+")) || got[5] != "wg+" || got[3] == "acme+" {
		t.Errorf("%s is not in %s", name, got)
	}
}

func FuzzIptablesRule(f *testing.F) {
	f.Add(`[1:2] -A INPUT -s 10.0.0.0/8,fd00::1 ! -i "a b\"c" -j DNAT --to-destination [::1]:80-90` + "\n*nat\n:a - [0:0]\n#x")
	f.Fuzz(func(t *testing.T, s string) {
		m := New(testKey(1), nil)
		if out := m.IptablesRule(s); len(out) > 40*len(s)+100 || strings.Count(out, "\n") != strings.Count(s, "\n") {
			t.Fatalf("%q becomes %q", s, out)
		}
	})
}
