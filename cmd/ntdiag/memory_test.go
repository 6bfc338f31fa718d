package main

import "testing"

func TestLimitFor(t *testing.T) {
	for _, tt := range []struct {
		used uint64
		want int64
	}{{0, softLimit}, {60 << 20, softLimit}, {96 << 20, 120 << 20}, {800 << 20, 1000 << 20}} {
		if got := limitFor(tt.used); got != tt.want {
			t.Errorf("%d bytes in use: limit %d, want %d", tt.used, got, tt.want)
		}
	}
}
