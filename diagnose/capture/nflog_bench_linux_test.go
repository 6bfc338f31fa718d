package capture

import (
	"context"
	"testing"
	"time"
)

// burst is how many packets TestNFLogBurst logs as fast as they can be sent.
const burst = 100_000

// TestNFLogBurst: a burst that is read while it is sent. What the buffer cannot
// take is counted: nothing is missing without a word.
func TestNFLogBurst(t *testing.T) {
	h, live := logging(t)
	n := bindLog(t, live)
	setLogging(t, live)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	sent := make(chan error, 1)
	began := time.Now()
	var sending time.Duration
	go func() {
		err := resets(h, 0, burst/2) // each is logged twice
		sending = time.Since(began)
		sent <- err
	}()
	came := uint64(0)
	var last time.Time
	err := n.Run(ctx, func(p *Logged) error {
		came++
		if last = time.Now(); came+n.Lost() >= burst {
			return ErrStop
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if came+n.Lost() != burst || n.Unparsed() != 0 {
		t.Errorf("%d came, %d lost, %d could not be read, of %d", came, n.Lost(), n.Unparsed(), burst)
	}
	t.Logf("%d logged in %v, read %v after: %.0f a second; %d lost; buffer %d", burst, sending,
		last.Sub(began.Add(sending)), float64(came)/last.Sub(began).Seconds(), n.Lost(), n.Start().Buffer)
}

// BenchmarkNFLog reads packets that wait: what one costs here, without what it
// costs the kernel to log it.
func BenchmarkNFLog(b *testing.B) {
	h, live := logging(b)
	n := bindLog(b, live)
	setLogging(b, live)
	const round = 20_000 // of them all fit
	b.ReportAllocs()
	read := 0
	for b.Loop() {
		b.StopTimer()
		if err := resets(h, 0, round/2); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if err := n.Drain(func(*Logged) error { read++; return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(read), "ns/packet")
	if n.Lost() > 0 {
		b.Fatalf("lost %d", n.Lost())
	}
}
