package settings

import (
	"context"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestNothingVanishes: from the first packet that is logged to the last, all
// are handed over, while settings are made and taken back under traffic.
func TestNothingVanishes(t *testing.T) {
	h, live := machine(t)
	set(t, live, capture.KeyLogInvalid, "0")
	tracking := "*filter\n-A INPUT -m conntrack --ctstate INVALID\nCOMMIT\n"
	if _, err := h.Run(tracking, "iptables-restore"); err != nil {
		lab.LeaveOut(t, err)
	}
	stop, sent := make(chan struct{}), make(chan error, 1)
	go func() {
		for seq := uint32(0); ; seq++ {
			select {
			case <-stop:
				sent <- nil
				return
			default:
			}
			if err := h.Emit(reset(seq)); err != nil {
				sent <- err
				return
			}
		}
	}()
	dir := t.TempDir()
	for range 5 {
		watchOnce(t, live, dir)
	}
	close(stop)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func watchOnce(t *testing.T, live *capture.Live, dir string) {
	t.Helper()
	n, err := live.NFLog(0)
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	held := hold(t, dir, live, ToNFLog(6))
	var seqs []uint32
	got := func(p *capture.Logged) error {
		if !strings.HasPrefix(string(p.Prefix), "nf_ct_proto_6: ") || len(p.Payload) < 40 {
			t.Errorf("%s %x", p.Prefix, p.Payload)
		}
		seqs = append(seqs, binary.BigEndian.Uint32(p.Payload[24:]))
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = n.Run(ctx, func(p *capture.Logged) error {
		if len(seqs) == 100 {
			cancel()
		}
		return got(p)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := held.Restore(); err != nil {
		t.Fatal(err)
	}
	if err := n.Drain(got); err != nil {
		t.Fatal(err)
	}
	if len(seqs) <= 100 || n.Lost() != 0 {
		t.Errorf("%d packets, %d lost", len(seqs), n.Lost())
	}
	for i, s := range seqs[1:] {
		if s-seqs[i] > 1 {
			t.Errorf("after %d comes %d", seqs[i], s)
		}
	}
}

// reset is a RST of no connection, which is logged on its way out, and again on
// its way in.
func reset(seq uint32) lab.Packet {
	lo := netip.MustParseAddr("127.0.0.1")
	return lab.Packet{Src: lo, Dst: lo, L4: lab.TCP{SPort: 7, DPort: 9, Flags: 4, Seq: seq}}
}
