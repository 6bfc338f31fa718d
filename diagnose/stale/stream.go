package stale

import (
	"sync"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// batchSize is how many flows a core takes at a time.
const batchSize = 64

// Stream judges flows on several cores, and hands over the verdicts in the
// order of the flows. A bounded number of flows is in it at a time.
type Stream struct {
	judge *Judge
	each  func(*Verdict) error
	now   *batch // being filled
	// Every batch is in one of these; free ones are waited for.
	free, work, order chan *batch
	stopped           chan struct{} // closed after err was set
	collected         chan struct{}
	err               error
}

// batch is some flows in their order; done has a token once they are judged.
type batch struct {
	flows    [batchSize]host.Flow
	verdicts [batchSize]Verdict
	n        int
	done     chan struct{}
}

// Stream begins one. each is called from one goroutine; the verdict is reused
// after the call. An error of each ends the judging.
func (j *Judge) Stream(cores int, each func(*Verdict) error) *Stream {
	batches := 2*cores + 2
	s := &Stream{
		judge: j, each: each, stopped: make(chan struct{}), collected: make(chan struct{}),
		free: make(chan *batch, batches), work: make(chan *batch, batches), order: make(chan *batch, batches),
	}
	for range batches {
		s.free <- &batch{done: make(chan struct{}, 1)}
	}
	var judging sync.WaitGroup
	memos := j.memos()
	for range cores {
		judging.Go(func() {
			one := j.sharing(memos)
			for b := range s.work {
				for i := range b.flows[:b.n] {
					one.judge(&b.flows[i], &b.verdicts[i])
				}
				b.done <- struct{}{}
			}
		})
	}
	go func() {
		defer close(s.collected)
		s.collect()
		judging.Wait()
	}()
	return s
}

// Add takes a copy of f. It waits while too many are being judged; an error is
// that of each.
func (s *Stream) Add(f *host.Flow) error {
	if s.now == nil {
		select {
		case s.now = <-s.free:
		case <-s.stopped:
			return s.err
		}
	}
	b := s.now
	b.flows[b.n] = *f
	if b.n++; b.n == batchSize {
		s.send()
	}
	return nil
}

func (s *Stream) send() {
	s.order <- s.now
	s.work <- s.now
	s.now = nil
}

// Close waits for the last verdict. It is called once, also after an error.
func (s *Stream) Close() error {
	if s.now != nil {
		s.send()
	}
	close(s.order)
	close(s.work)
	<-s.collected
	return s.err
}

func (s *Stream) collect() {
	for b := range s.order {
		<-b.done
		for i := range b.verdicts[:b.n] {
			if s.err != nil {
				break
			}
			if err := s.each(&b.verdicts[i]); err != nil {
				s.err = err
				close(s.stopped)
			}
		}
		b.n = 0
		s.free <- b
	}
}
