package rules

import (
	"encoding/binary"
	"testing"
)

// What the kernel's jhash gives, lengths on both sides of a block of 12 bytes.
func TestJhash(t *testing.T) {
	for _, tc := range []struct {
		key  string
		seed uint32
		want uint32
	}{
		{"", 0, 0xdeadbeef},
		{"a", 0x1, 0x42b17671},
		{"abcd", 0xabc, 0xfa21192d},
		{"0123456789ab", 0x77, 0xe10166e6},
		{"0123456789abc", 0xdeadbeef, 0xaea695cf},
		{"the quick brown fox jumps", 0x5, 0x57748a1e},
	} {
		if got := jhash([]byte(tc.key), tc.seed, binary.LittleEndian); got != tc.want {
			t.Errorf("jhash(%q, %#x) = %#x, want %#x", tc.key, tc.seed, got, tc.want)
		}
	}
}
