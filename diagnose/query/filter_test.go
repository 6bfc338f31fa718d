package query

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

func TestFilter(t *testing.T) {
	status := func(s string) Filter {
		v, m, err := ParseStatus(s)
		if err != nil {
			t.Fatal(err)
		}
		return Filter{Status: v, StatusMask: m}
	}
	tests := []struct {
		name   string
		filter Filter
		want   string
	}{
		{"open", Filter{}, "both masq ping six zone"},
		{"family", Filter{Family: rules.FamilyIPv6}, "six"},
		{"proto", Filter{Proto: some(17)}, "zone"},
		{"src", Filter{Src: netip.MustParsePrefix("10.0.0.10/32")}, "both masq ping"},
		{"dst", Filter{Dst: netip.MustParsePrefix("10.8.0.0/16")}, "masq"},
		{"addr after nat", Filter{Addr: netip.MustParsePrefix("192.168.1.80/32")}, "both"},
		{"sport", Filter{Sport: some(5536)}, "masq six"},
		{"dport is of the original", Filter{Dport: some(80)}, "masq"},
		{"port is of any end", Filter{Port: some(80)}, "both masq"},
		{"a port is no ICMP id", Filter{Port: some(77)}, ""},
		{"state", Filter{State: "ESTABLISHED"}, "both six"},
		{"zone 0", Filter{Zone: some(0)}, "both masq ping six"},
		{"mark", Filter{Mark: some(1), MarkMask: 1}, "both"},
		{"snat", Filter{NAT: NATSrc}, "both masq ping"},
		{"dnat", Filter{NAT: NATDst}, "both"},
		{"both", Filter{NAT: NATBoth}, "both"},
		{"any", Filter{NAT: NATAny}, "both masq ping"},
		{"none", Filter{NAT: NATNone}, "six zone"},
		{"assured", status("assured"), "both"},
		{"unreplied", status("unreplied"), "masq ping six zone"},
		{"not assured", status("!ASSURED"), "masq ping six zone"},
		{"reply src", Filter{ReplySrc: netip.MustParsePrefix("192.168.1.80/32")}, "both"},
		{"reply dst", Filter{ReplyDst: netip.MustParsePrefix("192.168.1.2/32")}, "both masq ping"},
		{"reply sport", Filter{ReplySport: some(80)}, "both masq"},
		{"reply dport and sport", Filter{Sport: some(5536), ReplyDport: some(5536)}, "masq six"},
		{"helper", Filter{Helper: "ftp"}, "masq"},
		{"label", Filter{Label: some(9)}, "six"},
		{"another label", Filter{Label: some(127)}, ""},
		{"two bits", status("seen-reply,src_nat"), "both"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, name := range []string{"both", "masq", "ping", "six", "zone"} {
				f := entries[name]
				if tt.filter.Match(&f) {
					got = append(got, name)
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("passes %q, want %q", s, tt.want)
			}
		})
	}
}

func TestRewrittenIsRewrites(t *testing.T) {
	for name, f := range entries {
		src, dst := Rewritten(&f)
		var wantSrc, wantDst bool
		for _, r := range f.Rewrites() {
			wantSrc = wantSrc || r.Manip == rules.ManipSrc
			wantDst = wantDst || r.Manip == rules.ManipDst
		}
		if src != wantSrc || dst != wantDst {
			t.Errorf("%s: %v %v, want %v %v", name, src, dst, wantSrc, wantDst)
		}
	}
}

func TestParseStatusErrors(t *testing.T) {
	for _, s := range []string{"", "bogus", "assured,!assured", "replied,unreplied"} {
		if v, m, err := ParseStatus(s); err == nil {
			t.Errorf("%q: %v %v", s, v, m)
		}
	}
	if v, m, err := ParseStatus("hw_offload"); err != nil || v != host.StatusHWOffload || m != v {
		t.Errorf("hw_offload: %v %v %v", v, m, err)
	}
}
