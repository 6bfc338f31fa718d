package jsonform

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"unsafe"
)

// typeSame is in the place of what has been written in the same scope, with
// the "id" that this has got behind its type.
const typeSame = "same"

// sharedOut is what a scope holds, so far, while it is written.
type sharedOut struct {
	spots map[unsafe.Pointer]*spot
	ids   uint64
}

// spot is where the id goes of a thing that is met again.
type spot struct {
	at int // in the Writer's bytes
	id uint64
}

func (s *sharedOut) add(w *Writer, x unsafe.Pointer) {
	if s == nil {
		return
	}
	if s.spots == nil {
		s.spots = map[unsafe.Pointer]*spot{}
	}
	s.spots[x] = &spot{at: len(w.b)}
}

// again tells whether x stands there already, and refers to it then.
func (s *sharedOut) again(w *Writer, x unsafe.Pointer) bool {
	if s == nil || s.spots[x] == nil {
		return false
	}
	here := s.spots[x]
	if here.id == 0 {
		s.ids++
		here.id = s.ids
		text := strconv.AppendUint([]byte(`,"id":`), here.id, 10)
		w.b = slices.Insert(w.b, here.at, text...)
		for _, other := range s.spots {
			if other.at > here.at {
				other.at += len(text)
			}
		}
	}
	w.Object(func() {
		w.Member("type", func() { w.String(typeSame) })
		w.Member("id", func() { w.Uint(here.id) })
	})
	return true
}

// sharedIn is what a scope holds, so far, while it is read.
type sharedIn struct {
	byID map[uint64]part
	// weight counts the parts of trees, repetitions included.
	weight int
	lost   bool // something is not understood, with what it holds
}

type part struct {
	x      reflect.Value
	weight int
}

var errShared = errors.New("not within anything that could hold it")

func (s *sharedIn) lose() {
	if s != nil {
		s.lost = true
	}
}

func (s *sharedIn) begin() int {
	if s == nil {
		return 0
	}
	return s.weight
}

// end keeps x under its id, and checks its weight; whole tells that all of it
// is understood.
func (s *sharedIn) end(id uint64, x reflect.Value, whole bool, before, most int) error {
	switch {
	case s == nil && id == 0:
		return nil
	case s == nil:
		return errShared
	}
	s.weight++
	weight := s.weight - before
	if weight > most {
		return fmt.Errorf("made of more than %d parts", most)
	}
	if id == 0 {
		return nil
	}
	if !whole {
		s.lost = true
		return nil
	}
	if _, twice := s.byID[id]; twice {
		return fmt.Errorf("id %d stands twice", id)
	}
	if s.byID == nil {
		s.byID = map[uint64]part{}
	}
	s.byID[id] = part{x, weight}
	return nil
}

// same reads a reference, the type behind it.
func (u *union) same(r *Reader, v reflect.Value) error {
	var id uint64
	_, err := (&plan{}).members(r, reflect.Value{}, false, &id)
	switch {
	case err != nil:
		return err
	case r.shared == nil:
		return errShared
	}
	p, ok := r.shared.byID[id]
	switch {
	case !ok && r.shared.lost && r.tolerant:
		r.note("id %d", id)
		return nil
	case !ok:
		return fmt.Errorf("nothing has id %d", id)
	case !p.x.Type().Implements(u.typ):
		return fmt.Errorf("%s is none of %s", p.x.Type(), u.typ)
	}
	if r.shared.weight += p.weight; r.shared.weight > 1<<30 {
		return errors.New("made of too many parts")
	}
	v.Set(p.x)
	return nil
}
