package main

import (
	"maps"
	"testing"
)

func TestLabelNames(t *testing.T) {
	got := labelsNamed("# labels\n0 web\n127\tdns # the last\n128 beyond\nno number\n5\n\n-1 less\n9 7")
	if want := map[string]int{"web": 0, "dns": 127, "7": 9}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLabelsOf(t *testing.T) {
	names := map[string]int{"web": 0, "dns": 127}
	tests := []struct {
		text string
		want [16]byte
		err  string
	}{
		{"3", [16]byte{0: 8}, ""},
		{"web,8,dns", [16]byte{0: 1, 1: 1, 15: 0x80}, ""},
		{"128", [16]byte{}, `unknown label "128" (0-127, or a name of /etc/xtables/connlabel.conf)`},
		{"web,mail", [16]byte{0: 1}, `unknown label "mail" (0-127, or a name of /etc/xtables/connlabel.conf)`},
		{"", [16]byte{}, `unknown label "" (0-127, or a name of /etc/xtables/connlabel.conf)`},
	}
	for _, tt := range tests {
		got, err := labelsOf(tt.text, names)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if got != tt.want || text != tt.err {
			t.Errorf("%q: %v, %q; want %v, %q", tt.text, got, text, tt.want, tt.err)
		}
	}
}
