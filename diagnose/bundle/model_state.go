package bundle

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/ntdiag/ntdiag/rules/jsonform"
)

// StateVersion is that of the state.json that is written; older ones are read.
const StateVersion = 1

// migrations make of a state of one version that of the next. A change of the
// form that an older program must not pass over, or that this one could not
// read any more, makes a version and a row here.
var migrations = map[uint64]func(jsonform.Tree) (jsonform.Tree, error){}

// EncodeState writes s as state.json: {"state":1, …}, in the form that package
// jsonform describes; the fields are those of State, in lower case with
// underscores.
//
//	{"state":1,
//	 "snapshot":{"hostname","kernel","netns","captured_at","order":"little",
//	   "rules":{"ruleset":1,…},     as package rulesjson writes it
//	   "links":[…],"addrs":[…],"routes":[…],"rule_table":[…],
//	   "sysctls":{"net.ipv4.ip_forward":{"value":"1","ok":true},"…":{"why":"…"}},
//	   "missing":[{"what","why"}]},
//	 "place":{"boot_id","netns_inode","netns_cookie"},
//	 "id":{"value":{"boot","cookie","inode"},"ok":true},
//	 "generation":{"value":9,"ok":true},"count":{…},"max":{…},"loggers":{…},
//	 "readings":[{"at","stats":{"cpus":[{"cpu":0,"counted":{"found":0,…}}],"entries","max","buckets","source","columns":["proc"]}}],
//	 "expectations":[…],"neighbours":[…],"xfrm":[…],
//	 "log":[{"at","text","seq","has_seq"}],"log_lost":3,
//	 "history":{"path","changes":[…],"dropped","alive","recording","damaged"},
//	 "uptime":{"value":7000000000,"ok":true},"enter":"ip netns exec x","missing":[…]}
//
// A fact has "ok":true and its value, or why it is missing. Changes of the
// history are as its store keeps them. The rules are written table by table,
// and nothing is gathered before it is written.
func EncodeState(w io.Writer, s *State) error {
	if s.Snapshot == nil || s.Snapshot.Rules == nil {
		return errors.New("state: no snapshot, or none of the rules")
	}
	out := jsonform.NewWriter(w)
	out.Object(func() {
		out.Member("state", func() { out.Uint(StateVersion) })
		out.WriteFields(stateForm, s)
	})
	if err := out.Flush(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// DecodeState reads what EncodeState wrote, of this version or of an older
// one. The state is ready for use: what is looked up is indexed, and the rules
// know the names of devices. The error says where it is not right.
func DecodeState(r io.Reader) (*State, error) {
	s, err := readState(r, StateVersion, migrations)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return s, nil
}

func readState(from io.Reader, newest uint64, steps map[uint64]func(jsonform.Tree) (jsonform.Tree, error)) (*State, error) {
	r := jsonform.NewReader(from, 0)
	v, err := r.Version("state")
	switch {
	case err != nil:
		return nil, err
	case v > newest:
		return nil, fmt.Errorf("version %d; this program reads up to version %d, a newer one is needed", v, newest)
	}
	if v == newest {
		s := new(State)
		if err := r.ReadRest(stateForm, s); err != nil {
			return nil, err
		}
		return s, r.End()
	}
	t, err := r.ReadTree()
	if err == nil {
		err = r.End()
	}
	if err != nil {
		return nil, err
	}
	for ; v < newest; v++ {
		step := steps[v]
		if step == nil {
			return nil, fmt.Errorf("version %d is not known", v)
		}
		if t, err = step(t); err != nil {
			return nil, fmt.Errorf("from version %d: %w", v, err)
		}
	}
	var b bytes.Buffer
	w := jsonform.NewWriter(&b)
	w.WriteTree("state", newest, t)
	if err := w.Flush(); err != nil {
		return nil, err
	}
	return readState(&b, newest, nil)
}

func checkState(s *State) error {
	for i, r := range s.Readings {
		if r.Stats == nil {
			return fmt.Errorf("reading %d has no counters", i)
		}
	}
	if s.Snapshot == nil {
		return errors.New("no snapshot")
	}
	return nil
}
