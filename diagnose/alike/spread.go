package alike

import (
	"sync"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// batchSize is how many flows a core takes at a time.
const batchSize = 64

// Spread hands flows to several goroutines, a bounded number at a time.
type Spread struct {
	now        *batch // being filled
	n          int
	free, work chan *batch
	done       sync.WaitGroup
}

// batch is flows one after the other, the first of them number first.
type batch struct {
	flows    [batchSize]host.Flow
	first, n int
}

// NewSpread begins one: each goroutine calls start once, and what that gives
// with every flow it gets and the flow's number, from 0 on in the order of Add.
func NewSpread(cores int, start func() func(i int, f *host.Flow)) *Spread {
	batches := 2*cores + 2
	s := &Spread{free: make(chan *batch, batches), work: make(chan *batch, batches)}
	for range batches {
		s.free <- new(batch)
	}
	for range cores {
		s.done.Go(func() {
			one := start()
			for b := range s.work {
				for i := range b.flows[:b.n] {
					one(b.first+i, &b.flows[i])
				}
				s.free <- b
			}
		})
	}
	return s
}

// Add takes a copy of f. It waits while too many are being worked on.
func (s *Spread) Add(f *host.Flow) {
	if s.now == nil {
		s.now = <-s.free
		s.now.first, s.now.n = s.n, 0
	}
	b := s.now
	b.flows[b.n] = *f
	s.n++
	if b.n++; b.n == batchSize {
		s.work <- b
		s.now = nil
	}
}

// Close waits for the last flow. It is called once.
func (s *Spread) Close() {
	if s.now != nil {
		s.work <- s.now
	}
	close(s.work)
	s.done.Wait()
}
