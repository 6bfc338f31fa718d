package bundle

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
	"github.com/ntdiag/ntdiag/rules/modeldiff"
)

// filler gives every field a value of its own, so that one that is not carried
// shows.
type filler struct {
	rnd *rand.Rand
}

func (f *filler) fill(v reflect.Value) {
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Unix(f.rnd.Int64N(1<<33), f.rnd.Int64N(1e9)).In([]*time.Location{time.UTC, time.FixedZone("", 3600)}[f.rnd.IntN(2)])
		return
	case *netip.Addr:
		*x = f.addr()
		return
	case *netip.Prefix:
		a := f.addr().WithZone("")
		*x = netip.PrefixFrom(a, f.rnd.IntN(a.BitLen()+1))
		return
	case *binary.ByteOrder:
		*x = []binary.ByteOrder{binary.LittleEndian, binary.BigEndian}[f.rnd.IntN(2)]
		return
	case **rules.Ruleset:
		*x = &rules.Ruleset{Order: binary.BigEndian, Generation: f.rnd.Uint32(), Tables: []*rules.Table{{Name: f.text()}}}
		(*x).Tables[0].Ruleset = *x
		return
	case *rules.Truth:
		*x = rules.Truth(f.rnd.IntN(3))
		return
	case *counters.CPU:
		x.CPU = f.rnd.IntN(100)
		for i := range x.Values {
			x.Values[i], x.Has[i] = f.rnd.Uint64N(3), f.rnd.IntN(2) == 0
		}
		return
	case **history.Change:
		*x = &history.Change{V: history.Version, Seq: f.rnd.Uint64(), At: time.Unix(5, 7).UTC(), Kind: history.KindRules,
			Rules: &history.RulesDiff{Objects: []history.ObjectChange{{Op: history.Added, Text: "<ä>", Place: history.Place{Family: "ip"}}}}}
		return
	}
	f.kind(v)
}

func (f *filler) kind(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(f.rnd.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(f.rnd.Int64() - 1<<62)
	case reflect.Uint8:
		v.SetUint(f.rnd.Uint64N(2))
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(f.rnd.Uint64() >> (64 - v.Type().Bits()))
	case reflect.String:
		v.SetString(f.text())
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		n := f.rnd.IntN(4) - 1
		if n < 0 {
			return // nil, as opposed to empty
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			f.fill(v.Index(i))
		}
	case reflect.Array:
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range f.rnd.IntN(4) {
			x := reflect.New(v.Type().Elem()).Elem()
			f.fill(x)
			v.SetMapIndex(reflect.ValueOf(f.text()), x)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i))
			}
		}
	default:
		panic(fmt.Sprintf("no value for %s", v.Type()))
	}
}

func (f *filler) text() string {
	return []string{"", "eth0", "a \"b\"\\\n\x00\x7f", "hex:", "hex:00", "\xff\x00", "ä\u2028😀", "<&>"}[f.rnd.IntN(8)]
}

func (f *filler) addr() netip.Addr {
	b := make([]byte, []int{4, 16}[f.rnd.IntN(2)])
	for i := range b {
		b[i] = byte(f.rnd.Uint32())
	}
	a, _ := netip.AddrFromSlice(b)
	switch f.rnd.IntN(4) {
	case 0:
		return netip.MustParseAddr("::ffff:10.1.2.3")
	case 1:
		return netip.MustParseAddr("fe80::1").WithZone("eth0")
	}
	return a
}

// TestStateReadsWhatItWrites: of every field, whatever it holds.
func TestStateReadsWhatItWrites(t *testing.T) {
	for seed := range uint64(300) {
		f := &filler{rnd: rand.New(rand.NewPCG(seed, 1))}
		want := new(State)
		f.fill(reflect.ValueOf(want).Elem())
		var b bytes.Buffer
		if err := EncodeState(&b, want); err != nil {
			t.Fatal(err)
		}
		got, err := DecodeState(bytes.NewReader(b.Bytes()))
		if err != nil {
			t.Fatalf("%v\n%s", err, b.Bytes())
		}
		if d := modeldiff.First(want, got); d != "" {
			t.Fatalf("%s\n%s", d, b.Bytes())
		}
	}
}

// TestOlderStates: a made-up version before this one.
func TestOlderStates(t *testing.T) {
	steps := map[uint64]func(jsonform.Tree) (jsonform.Tree, error){
		0: func(t jsonform.Tree) (jsonform.Tree, error) {
			at, ok := t["place"].(jsonform.Tree)
			if !ok {
				return nil, errors.New("no place")
			}
			at["netns_inode"] = at["inode"]
			delete(at, "inode")
			return t, nil
		},
	}
	const snapshot = `"snapshot":{"rules":{"ruleset":1,"tables":[{"family":"ip","chains":[{"rules":[{"statements":[{"type":"opaque","raw":"00"}]}]}]}]}}`
	for _, tc := range []struct{ in, err string }{
		{`{"state":0,"place":{"inode":4026531840},` + snapshot + `}`, ""},
		{`{"state":0,` + snapshot + `}`, "from version 0: no place"},
		{`{"state":2}`, "newer one is needed"},
		{`{"place":{}}`, `"place" where "state" has to be`},
		{`{"state":1}`, "no snapshot"},
		{`{"state":1,"snapshot":{}}`, "snapshot, byte 24: rules is missing"},
		{`{"state":1,` + snapshot, "unexpected EOF"},
		{`{"state":1,` + snapshot + `} {`, `'{' behind the end`},
		{`{"state":1,"readings":[{}],` + snapshot + `}`, "reading 0 has no counters"},
		{`{"state":1,"history":{"changes":[{"v":2}]},` + snapshot + `}`, "history.changes[0], byte 40: record of version 2"},
	} {
		s, err := readState(strings.NewReader(tc.in), 1, steps)
		switch {
		case tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)):
			t.Errorf("%s: %v, want %q", tc.in, err, tc.err)
		case tc.err == "" && err != nil:
			t.Errorf("%s: %v", tc.in, err)
		case tc.err == "" && s.Place != host.Place{Inode: 4026531840}:
			t.Errorf("%s: place %+v", tc.in, s.Place)
		}
	}
}
