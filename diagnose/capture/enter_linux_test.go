package capture

import (
	"os"
	"strconv"
	"testing"
)

func TestEnter(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, tt := range []struct{ netns, want string }{
		{"", ""},
		{pid, "nsenter -n -t " + pid + " "},
		{"/proc/self/ns/net", "nsenter --net=/proc/self/ns/net "},
	} {
		if got := openHere(t, tt.netns).Enter(); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.netns, got, tt.want)
		}
	}
	for in, want := range map[string]string{"blue": "blue", "": "''", "a b": "'a b'", "it's": `'it'\''s'`, "$(x)": "'$(x)'"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
