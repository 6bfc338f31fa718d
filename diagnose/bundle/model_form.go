package bundle

import (
	"reflect"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/history"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
	"github.com/ntdiag/ntdiag/rules/rulesjson"
)

// stateForm is how a State is written.
var stateForm = &jsonform.Form{
	Enums: map[reflect.Type]*jsonform.Enum{
		reflect.TypeFor[rules.Family](): rulesjson.Families,
		reflect.TypeFor[rules.Truth]():  rulesjson.Truths,
		reflect.TypeFor[capture.Direction](): {Closed: true, Names: map[uint64]string{
			uint64(capture.Original): "original", uint64(capture.Reply): "reply",
		}},
		reflect.TypeFor[counters.Columns](): {Bits: true, Names: map[uint64]string{
			uint64(counters.ColumnsProc): "proc", uint64(counters.ColumnSearched): "searched", uint64(counters.ColumnIgnore): "ignore",
			uint64(counters.ColumnClash): "clash", uint64(counters.ColumnChain): "chain", uint64(counters.ColumnMoved): "moved",
		}},
	},
	Custom: map[reflect.Type]jsonform.Codec{
		reflect.TypeFor[*rules.Ruleset]():    {Write: writeRuleset, Read: readRuleset, Required: true},
		reflect.TypeFor[counters.CPU]():      {Write: writeCPU, Read: readCPU},
		reflect.TypeFor[[]*history.Change](): {Write: writeChanges, Read: readChanges},
	},
	Skip: map[reflect.Type][]string{
		reflect.TypeFor[host.Snapshot]():   {"lookups"},
		reflect.TypeFor[history.History](): {"index"},
	},
	After: map[reflect.Type]func(*jsonform.Reader, any) error{
		reflect.TypeFor[host.Snapshot](): func(_ *jsonform.Reader, v any) error {
			v.(*host.Snapshot).Ready()
			return nil
		},
		reflect.TypeFor[State](): func(_ *jsonform.Reader, v any) error { return checkState(v.(*State)) },
	},
}

func writeRuleset(w *jsonform.Writer, v reflect.Value) {
	rulesjson.Write(w, v.Interface().(*rules.Ruleset))
}

func readRuleset(r *jsonform.Reader, v reflect.Value) error {
	rs, err := rulesjson.Read(r)
	v.Set(reflect.ValueOf(rs))
	return err
}
