package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
)

// TestBounded holds that an answer that became too long stays known as such,
// whatever the command that wrote it makes of the error.
func TestBounded(t *testing.T) {
	out := bounded{most: 10}
	for i, tt := range []struct {
		write string
		ok    bool
		kept  string
	}{
		{"12345", true, "12345"},
		{"67890", true, "1234567890"},
		{"", true, "1234567890"},
		{"x", false, "1234567890"},
		{"", false, "1234567890"},
	} {
		n, err := fmt.Fprint(&out, tt.write)
		if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, errTooLong) || tt.ok && n != len(tt.write) {
			t.Errorf("write %d: %d, %v", i, n, err)
		}
		if out.buf.String() != tt.kept || out.full == tt.ok {
			t.Errorf("write %d: %q kept, full %v", i, out.buf.String(), out.full)
		}
	}
	short := bounded{most: 10}
	if err := json.NewEncoder(&short).Encode("a word that is longer"); !errors.Is(err, errTooLong) || !short.full {
		t.Errorf("an encoder gives %v", err)
	}
}
