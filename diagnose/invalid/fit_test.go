package invalid

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func tuple(proto uint8, src, dst string) rules.Tuple {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	return rules.Tuple{Proto: proto, Src: s.Addr(), Dst: d.Addr(), SrcPort: s.Port(), DstPort: d.Port()}
}

func tupleText(t rules.Tuple) string {
	return netip.AddrPortFrom(t.Src, t.SrcPort).String() + ">" + netip.AddrPortFrom(t.Dst, t.DstPort).String()
}

func TestFits(t *testing.T) {
	for _, tc := range []struct {
		name        string
		proto       uint8
		orig, reply [2]string
		want        string
	}{
		{"without NAT", 6, [2]string{"10.0.0.1:5", "10.8.0.2:80"}, [2]string{"10.8.0.2:80", "10.0.0.1:5"}, `
original direction: 10.0.0.1:5>10.8.0.2:80
reply direction: 10.8.0.2:80>10.0.0.1:5`},
		{"SNAT", 6, [2]string{"10.0.0.1:5", "10.8.0.2:80"}, [2]string{"10.8.0.2:80", "192.168.1.2:9"}, `
original direction: 10.0.0.1:5>10.8.0.2:80
reply direction: 10.8.0.2:80>192.168.1.2:9
original direction, as it looks behind the SNAT: 192.168.1.2:9>10.8.0.2:80
reply direction, as it looks with the SNAT undone: 10.8.0.2:80>10.0.0.1:5`},
		{"DNAT", 17, [2]string{"10.0.0.1:5", "10.0.0.9:53"}, [2]string{"192.168.1.80:5353", "10.0.0.1:5"}, `
original direction: 10.0.0.1:5>10.0.0.9:53
reply direction: 192.168.1.80:5353>10.0.0.1:5
original direction, as it looks behind the DNAT: 10.0.0.1:5>192.168.1.80:5353
reply direction, as it looks with the DNAT undone: 10.0.0.9:53>10.0.0.1:5`},
		{"both", 6, [2]string{"10.0.0.1:5", "10.0.0.9:80"}, [2]string{"192.168.1.80:8080", "192.168.1.2:9"}, `
original direction: 10.0.0.1:5>10.0.0.9:80
reply direction: 192.168.1.80:8080>192.168.1.2:9
original direction, as it looks behind the SNAT: 192.168.1.2:9>10.0.0.9:80
reply direction, as it looks with the SNAT undone: 192.168.1.80:8080>10.0.0.1:5
original direction, as it looks behind the DNAT: 10.0.0.1:5>192.168.1.80:8080
reply direction, as it looks with the DNAT undone: 10.0.0.9:80>192.168.1.2:9
original direction, as it looks behind the NAT: 192.168.1.2:9>192.168.1.80:8080
reply direction, as it looks with the NAT undone: 10.0.0.9:80>10.0.0.1:5`},
		{"a ping with another id", 1, [2]string{"10.0.0.1:77", "8.8.8.8:2048"}, [2]string{"8.8.8.8:1077", "192.168.1.2:0"}, `
original direction: 10.0.0.1:77>8.8.8.8:2048
reply direction: 8.8.8.8:1077>192.168.1.2:0
original direction, as it looks behind the SNAT: 192.168.1.2:1077>8.8.8.8:2048
reply direction, as it looks with the SNAT undone: 8.8.8.8:77>10.0.0.1:0`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := host.Flow{Original: tuple(tc.proto, tc.orig[0], tc.orig[1]), Reply: tuple(tc.proto, tc.reply[0], tc.reply[1])}
			var b strings.Builder
			fits(&f, func(fit Fit, got rules.Tuple) {
				fmt.Fprintf(&b, "\n%s: %s", fit, tupleText(got))
				// the same packet, quoted by an error from behind this host, is odd
				// unless all NAT was done to it
				e := Entry{Flow: f, Fit: fit.quoted(&f), Quoted: true}
				rewrites := len(f.Rewrites())
				done := 0
				if fit.SrcAfter {
					done++
				}
				if fit.DstAfter {
					done++
				}
				if e.Fit.Odd() != (done != rewrites) {
					t.Errorf("%s quoted: %s", fit, e.As())
				}
			})
			if diff := cmp.Diff(tc.want, b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// TestCausesTable: every cause names reasons that there are, and each reason
// that makes a packet invalid has one.
func TestCausesTable(t *testing.T) {
	have := map[string]bool{}
	for i := range Table {
		have[Table[i].Name] = true
	}
	looked := map[string]bool{}
	for _, c := range causes {
		for _, r := range c.reasons {
			if !have[r] {
				t.Errorf("cause %s: no reason %q", c.name, r)
			}
			looked[r] = true
		}
	}
	for i := range Table {
		if r := &Table[i]; !looked[r.Name] && len(r.Moves) > 0 {
			t.Errorf("no cause looks at %q", r.Name)
		}
	}
}
