package rulesjson

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
)

// Version is that of the documents that this package writes.
const Version = 1

// maxParts is more than one value of a rule is computed from.
const maxParts = 4096

var form = newForm()

func newForm() *jsonform.Form {
	f := &jsonform.Form{
		Unions: map[reflect.Type]*jsonform.Union{
			reflect.TypeFor[rules.Expr]():      {Rows: expressions, Shared: maxParts},
			reflect.TypeFor[rules.Condition](): {Rows: conditions},
			reflect.TypeFor[rules.Statement](): {Rows: slices.Concat(conditions, effects), Unknown: opaque},
		},
		Enums:  enums,
		Scopes: map[reflect.Type]bool{reflect.TypeFor[rules.Rule](): true},
		Skip: map[reflect.Type][]string{
			reflect.TypeFor[rules.Ruleset](): {"ipsetID", "DeviceName"},
			reflect.TypeFor[rules.Table]():   {"Ruleset"},
			reflect.TypeFor[rules.Chain]():   {"Table"},
			reflect.TypeFor[rules.Rule]():    {"Chain"},
			reflect.TypeFor[rules.Object]():  {"Table"},
			reflect.TypeFor[rules.Set]():     {"Table", "index"},
			reflect.TypeFor[rules.IPSet]():   {"Members", "once", "index"},
		},
		Optional: map[reflect.Type][]string{
			reflect.TypeFor[rules.Verdict](): {"Chain"},
			reflect.TypeFor[rules.NAT]():     {"AddrMin", "AddrMax", "PortMin", "PortMax"},
			reflect.TypeFor[rules.ObjRef]():  {"Key", "Set"},
			reflect.TypeFor[rules.Dynset]():  {"Data"},
			reflect.TypeFor[rules.Dup]():     {"Addr", "Device"},
			reflect.TypeFor[rules.Fwd]():     {"Addr"},
			reflect.TypeFor[rules.Queue]():   {"From"},
			reflect.TypeFor[rules.TProxy]():  {"Addr", "Port"},
			reflect.TypeFor[rules.Hash]():    {"X"},
			reflect.TypeFor[rules.IPSetRef](): {
				"Set",
			},
		},
		After: checks,
	}
	f.Custom = map[reflect.Type]jsonform.Codec{
		reflect.TypeFor[*rules.Table]():   tableCodec(f),
		reflect.TypeFor[*rules.Chain]():   reference(func(s *scope) *names[rules.Chain] { return &s.chains }),
		reflect.TypeFor[*rules.Set]():     reference(func(s *scope) *names[rules.Set] { return &s.sets }),
		reflect.TypeFor[*rules.IPSet]():   reference(func(s *scope) *names[rules.IPSet] { return &s.ipsets }),
		reflect.TypeFor[[]*rules.Chain](): definitions(f, func(s *scope) *names[rules.Chain] { return &s.chains }),
		reflect.TypeFor[[]*rules.Set]():   definitions(f, func(s *scope) *names[rules.Set] { return &s.sets }),
		reflect.TypeFor[[]*rules.IPSet](): definitions(f, func(s *scope) *names[rules.IPSet] { return &s.ipsets }),
	}
	return f
}

// opaque stands for a statement of a later version.
func opaque(name string, got any, span []int, why string) any {
	if s, ok := got.(rules.Statement); ok {
		span = s.Covers()
	}
	return &rules.Opaque{
		Span: span, Name: name, MayNAT: true, MayEnd: true,
		Why: fmt.Sprintf("%s of statement %q comes from a later version of this program", why, name),
	}
}

// Encode writes a ruleset; a table is written before the next one is looked at.
func Encode(w io.Writer, rs *rules.Ruleset) error {
	out := jsonform.NewWriter(w)
	Write(out, rs)
	if err := out.Flush(); err != nil {
		return fmt.Errorf("ruleset as JSON: %w", err)
	}
	return nil
}

// Marshal is Encode into memory.
func Marshal(rs *rules.Ruleset) ([]byte, error) {
	var b bytes.Buffer
	err := Encode(&b, rs)
	return b.Bytes(), err
}

// Options bound what is read.
type Options struct {
	Memory int64 // bytes that it may take, 0 for jsonform.DefaultMemory
}

// Decode reads what Encode writes, and nothing behind it. Its error says where
// the ruleset is not right; it is a *jsonform.Error inside. A version that is
// not known is an error too.
func Decode(r io.Reader, opt Options) (*rules.Ruleset, error) {
	in := jsonform.NewReader(r, opt.Memory)
	rs, err := Read(in)
	if err == nil {
		err = in.End()
	}
	if err != nil {
		return nil, fmt.Errorf("ruleset as JSON: %w", err)
	}
	return rs, nil
}

// Unmarshal is Decode of what is in memory.
func Unmarshal(b []byte) (*rules.Ruleset, error) { return Decode(bytes.NewReader(b), Options{}) }
