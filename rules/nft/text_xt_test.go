package nft

import (
	"encoding/binary"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// TestXtConditions: what an xtables match asks has words, also where nf_tables
// has none for it.
func TestXtConditions(t *testing.T) {
	u32 := make([]byte, 1984)
	u32[0], u32[88], u32[92], u32[176], u32[177], u32[1980] = 12, 1, 9, 1, 1, 1
	connbytes := make([]byte, 24)
	connbytes[0], connbytes[8] = 1, 20
	for _, tt := range []struct {
		match string
		info  []byte
		want  string
	}{
		{"u32", u32, "u32 0xc=0x1:0x9"},
		{"rpfilter", []byte{1 | 8}, "not (rpfilter loose)"},
		{"helper", append([]byte{0, 0, 0, 0}, append([]byte("ftp"), make([]byte, 27)...)...), "helper ftp"},
		{"cgroup", make([]byte, 8), "cgroup"},
		{"connbytes", connbytes, "connbytes 1:20 connbytes-mode packets connbytes-dir original"},
		{"quota", make([]byte, 16), "never"},
	} {
		c := &xt.Context{Order: binary.LittleEndian, Family: rules.FamilyIPv4, Span: rules.Span{0}}
		s := xt.Match(c, &xt.Blob{Name: tt.match, Info: tt.info})
		if len(s) != 1 {
			t.Fatalf("%s: %d statements", tt.match, len(s))
		}
		if got := ConditionText(s[0]); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.match, got, tt.want)
		}
	}
}
