package lab

import (
	"context"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// crowd is entry i of many.
func crowd(i int) Entry {
	src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 22), byte(i >> 14)}), uint16(1024+i&(1<<14-1)))
	return Entry{Proto: unix.IPPROTO_TCP, Src: src, Dst: netip.MustParseAddrPort("203.0.113.1:443"), Assured: true}
}

func (h *Host) count(t *testing.T) string {
	t.Helper()
	var b []byte
	err := h.Do(func() (err error) {
		b, err = os.ReadFile("/proc/sys/net/netfilter/nf_conntrack_count")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func lonely(t *testing.T) *Host {
	t.Helper()
	l, err := New()
	if err != nil {
		LeaveOut(t, err)
	}
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("router")
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestFillAndReceive(t *testing.T) {
	h := lonely(t)
	empty, err := Receive(h)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Fill(2000, crowd); err != nil {
		t.Fatal(err)
	}
	if got := h.count(t); got != "2000" {
		t.Errorf("%s entries, want 2000", got)
	}
	full, err := Receive(h)
	if err != nil {
		t.Fatal(err)
	}
	if full-empty < 2000*150 || full-empty > 2000*500 {
		t.Errorf("%d bytes for no entry, %d for 2000", empty, full)
	}
	if err := h.Fill(1, crowd); err == nil || !strings.Contains(err.Error(), "file exists") {
		t.Errorf("an entry that is there already: %v", err)
	}
}

func TestChurn(t *testing.T) {
	h := lonely(t)
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	n, err := h.Churn(ctx, 5000, crowd)
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 || n > 1500 {
		t.Errorf("%d entries in 200 ms at 5000 a second", n)
	}
	if got := h.count(t); got != strconv.Itoa(n) {
		t.Errorf("%s entries, %d were made", got, n)
	}
}
