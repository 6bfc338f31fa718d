package bundle

import (
	"encoding/json"
	"io"
)

func encodeState(w io.Writer, s *State) error { return encode(w, s) }

func encode(w io.Writer, v any) error { return json.NewEncoder(w).Encode(v) }

func decodeState(r io.Reader) (*State, error) {
	s := &State{}
	return s, json.NewDecoder(r).Decode(s)
}
