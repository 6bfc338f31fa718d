package host

import "testing"

func TestNetnsSame(t *testing.T) {
	before618 := NetnsID{Boot: "a", Cookie: 1, Inode: 4026531840}
	since618 := NetnsID{Boot: "b", Cookie: 3, Inode: 0xEFFFFFF9}
	made := NetnsID{Boot: "b", Cookie: 8373, Inode: 4026532177}
	tests := []struct {
		name string
		a, b NetnsID
		want bool
	}{
		{"initial, another boot", before618, NetnsID{Boot: "c", Cookie: 1, Inode: 4026531992}, true},
		{"initial, another kernel", before618, since618, true},
		{"initial, another boot of 6.18", since618, NetnsID{Boot: "c", Cookie: 7, Inode: 0xEFFFFFF9}, true},
		{"initial and made", since618, made, false},
		{"made", made, made, true},
		{"made, another boot", made, NetnsID{Boot: "c", Cookie: made.Cookie, Inode: made.Inode}, false},
		{"inode given again", made, NetnsID{Boot: "b", Cookie: made.Cookie + 1, Inode: made.Inode}, false},
		{"no cookie", NetnsID{Boot: "a", Inode: 4026532177}, NetnsID{Boot: "a", Inode: 4026532177}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.a.Same(tt.b); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
}
