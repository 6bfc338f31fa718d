package redact

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

func TestNames(t *testing.T) {
	m := New(testKey(1), nil)
	for _, c := range []struct {
		kind       Kind
		name, want string // * stands for letters of a token
	}{
		{Device, "eth0", "eth0"}, {Device, "lo", "lo"}, {Device, "docker0", "docker0"}, {Device, "wg12", "wg12"},
		{Device, "acme-uplink", "dev-*"}, {Device, "veth3f2a", "veth*"}, {Device, "br-3fa9e0", "br-*"}, {Device, "eth0.100", "dev-*"},
		{Table, "nat", "nat"}, {Table, "acme", "tbl-*"}, {Table, "firewalld", "firewalld"}, {Table, "wg-quick-office", "wg-quick-*"},
		{Chain, "POSTROUTING", "POSTROUTING"}, {Chain, "acme-in", "chn-*"}, {Chain, "KUBE-SVC-ERIFXISQEP7F7OF4", "KUBE-SVC-*"},
		{Chain, "KUBE-SERVICES", "KUBE-SERVICES"}, {Chain, "zone_lan_prerouting", "zone_lan_prerouting"}, {Chain, "zone_acme_prerouting", "zone_*_prerouting"},
		{Chain, "FWDI_acme_allow", "FWDI_*_allow"}, {Chain, "sha-fw", "sha-fw"}, {Chain, "sha-bob", "sha-*"}, {Chain, "DOCKER", "DOCKER"},
		{Chain, "CNI-DN-0123456789abcdef01234", "CNI-DN-*"}, {Chain, "f2b-sshd", "f2b-*"},
		{Comment, "allow ssh from lan", "allow ssh from lan"}, {Comment, "Alice's laptop", "cmt-*"}, {Comment, "kubernetes service portals", "kubernetes service portals"},
		{Comment, "default/web:http cluster IP", "cmt-*"}, {Comment, "!fw4: Allow-DHCP-Renew", "!fw4: *"},
		{Helper, "ftp", "ftp"}, {Helper, "acme-alg", "hlp-*"}, {SetName, "f2b-sshd", "set-*"}, {Word, "", ""},
	} {
		got := m.Name(c.kind, c.name)
		if !fitsToken(c.want, got) {
			t.Errorf("%s becomes %s, not %s", c.name, got, c.want)
		}
		if got != m.Name(c.kind, c.name) || got != New(testKey(1), nil).Name(c.kind, c.name) {
			t.Errorf("%s has two tokens", c.name)
		}
		if back := m.names.reveal(got); back != c.name {
			t.Errorf("%s becomes %s, and that %s", c.name, got, back)
		}
		if c.name != got && New(testKey(2), nil).Name(c.kind, c.name) == got {
			t.Errorf("%s becomes %s whatever the key", c.name, got)
		}
	}
}

// fitsToken compares with a * that stands for the letters of tokens.
func fitsToken(want, got string) bool {
	head, tail, open := strings.Cut(want, "*")
	if !open {
		return want == got
	}
	if len(got) <= len(head)+len(tail) || !strings.HasPrefix(got, head) || !strings.HasSuffix(got, tail) {
		return false
	}
	return strings.Trim(got[len(head):len(got)-len(tail)], tokenLetters) == ""
}

func TestTokensAreUnique(t *testing.T) {
	m := New(testKey(1), nil)
	seen := map[string]string{}
	for i := range 100000 {
		name := fmt.Sprintf("comment %d of many", i)
		got := m.Name(Comment, name)
		if other, has := seen[got]; has {
			t.Fatalf("%q and %q become %s", name, other, got)
		}
		seen[got] = name
	}
}

// Rules are recognised as before.
func TestOwnersStay(t *testing.T) {
	m := New(testKey(1), nil)
	bits := []string{"acme", "KUBE-", "SVC", "-", "_", "DOCKER", "zone_", "_prerouting", "sha-", "fw", "-fw", "2fw", "fw2", "IN_", "PRE_", "post", "CNI-",
		"cali-", "cali:", "felix-", "INPUT_direct", "FORWARD_", "in", "_ZONES", "ufw-", "ts-input", "generated for LXD ", "bridge", "wg-quick(8) rule for ",
		"name: \"", "\" id: \"", "\"", "x", "kubernetes ", "!fw3", "!fw4: ", "netavark ", "cni_plugins_", "tailscale", "net-", "_masq", "_dnat", "tcpre"}
	for i, a := range bits {
		for j, b := range bits {
			for _, c := range append([]string{""}, bits[(i+j)%len(bits)]) {
				name := a + b + c
				for kind, of := range ownerNames {
					_, before := rules.OwnerFixed(of, name)
					_, after := rules.OwnerFixed(of, m.Name(kind, name))
					if !slices.Equal(before, after) {
						t.Fatalf("%q fits %q, its token %q %q", name, before, m.Name(kind, name), after)
					}
				}
			}
		}
	}
}

func TestStemsAreFree(t *testing.T) {
	for _, stem := range []string{prefixStem, deviceStems[len(deviceStems)-1]} {
		if beginsKnownDevice(stem[:1]) {
			t.Errorf("a device that stays begins with %q", stem[:1])
		}
	}
}

func TestDevicePrefixes(t *testing.T) {
	for _, prefixes := range [][]string{
		{"wg"}, {"e"}, {"eth", "eth1"}, {"acme"}, {"ac", "acme", "acme-in", "acme-in-1"}, {"d", "dev", "n", "i", "l"}, {"p", "pa", "pab"}, {"br-", "br-a", "veth9"},
		{"a", "b", "c", "d", "f", "g", "h", "p", "q"}, {"a", "aa", "aaa", "aaaa", "aaaaa", "aaaaaa"}, {"eth0x", "et"}, {"lo", "l"},
	} {
		c := &Constraints{}
		for _, p := range prefixes {
			c.DevicePrefix(p)
		}
		m := New(testKey(3), c)
		tokens := map[string]string{}
		for _, p := range m.names.devices.prefixes {
			tokens[p.text] = p.token
		}
		var names []string
		for _, p := range append(prefixes, "z", "eth", "dev-", "pq", "nic", "vet", "br") {
			for i := range 60 {
				names = append(names, fmt.Sprint(p, i), fmt.Sprintf("%s-%c%d", p, 'a'+i%26, i))
			}
		}
		seen := map[string]string{}
		for _, name := range names {
			got := m.Name(Device, name)
			if other, has := seen[got]; has && other != name {
				t.Fatalf("%q: %s and %s become %s", prefixes, name, other, got)
			}
			seen[got] = name
			if len(got) > deviceLength && len(name) <= deviceLength {
				t.Errorf("%q: %s becomes %s, which is too long", prefixes, name, got)
			}
			for _, p := range prefixes {
				if strings.HasPrefix(name, p) != strings.HasPrefix(got, tokens[p]) {
					t.Errorf("%q: %s becomes %s, and %s* becomes %s*", prefixes, name, got, p, tokens[p])
				}
			}
		}
	}
}
