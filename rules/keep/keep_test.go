package keep

import (
	"bytes"
	"fmt"
	"testing"
)

func TestBytes(t *testing.T) {
	k := NewBytes()
	if k.Keep(nil) != nil || k.Share(nil) != nil {
		t.Error("nothing became something")
	}
	if b := k.Share([]byte{}); b == nil || len(b) != 0 {
		t.Errorf("empty became %v", b)
	}
	var kept [][]byte
	var want []string
	buf := make([]byte, 0, chunk)
	for i := range 3000 {
		buf = fmt.Appendf(buf[:0], "%0*d", 1+i%700, i)
		kept, want = append(kept, k.Keep(buf), k.Share(buf)), append(want, string(buf), string(buf))
		clear(buf)
	}
	buf = append(buf[:0], bytes.Repeat([]byte("x"), chunk)...)
	kept, want = append(kept, k.Keep(buf)), append(want, string(buf))
	clear(buf)
	for i, b := range kept {
		if string(b) != want[i] {
			t.Fatalf("%d: kept %q, want %q", i, b, want[i])
		}
		if cap(b) != len(b) {
			t.Fatalf("%d: has room for %d more", i, cap(b)-len(b))
		}
	}
	a, b := k.Share([]byte("again")), k.Share([]byte("again"))
	if &a[0] != &b[0] {
		t.Error("what is said twice is kept twice")
	}
}

func TestSlab(t *testing.T) {
	var s Slab[int]
	var all []*int
	for i := range 2000 {
		all = append(all, s.One(i))
		list := s.List(i % 300)
		if len(list) != i%300 || cap(list) != len(list) {
			t.Fatalf("list of %d has %d of %d", i%300, len(list), cap(list))
		}
		for j := range list {
			if list[j] != 0 {
				t.Fatal("a list is not zero")
			}
			list[j] = -1
		}
	}
	for i, p := range all {
		if *p != i {
			t.Fatalf("%d became %d", i, *p)
		}
	}
}
