package host

import "testing"

func TestParseRelease(t *testing.T) {
	for _, c := range []struct {
		in   string
		want Release
		ok   bool
	}{
		{"6.18.44-fc-v657", Release{6, 18, 44}, true},
		{"5.10.0-28-amd64", Release{5, 10, 0}, true},
		{"4.19", Release{4, 19, 0}, true},
		{"6.1.0+", Release{6, 1, 0}, true},
		{"2.6.32-754.el6.x86_64", Release{2, 6, 32}, true},
		{"7.1-rc3", Release{7, 1, 0}, true},
		{"6", Release{}, false},
		{"6.", Release{}, false},
		{"", Release{}, false},
		{"x6.1", Release{}, false},
		{"99999999999999999999.1", Release{}, false},
	} {
		got, ok := ParseRelease(c.in)
		if got != c.want || ok != c.ok {
			t.Errorf("ParseRelease(%q) = %v, %v; want %v, %v", c.in, got, ok, c.want, c.ok)
		}
	}
	if (Release{}).AtLeast(2, 6) {
		t.Error("an unknown release is not at least 2.6")
	}
}
