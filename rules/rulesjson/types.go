package rulesjson

import (
	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
	"github.com/ntdiag/ntdiag/rules/xt"
)

// expressions are all types that a rule can load, by the name they are written
// with.
var expressions = []jsonform.Row{
	{Name: "bitwise", Type: (*rules.Bitwise)(nil)},
	{Name: "bool2", Type: (*rules.Bool2)(nil)},
	{Name: "byteorder", Type: (*rules.Byteorder)(nil)},
	{Name: "concat", Type: (*rules.Concat)(nil)},
	{Name: "const", Type: (*rules.Const)(nil)},
	{Name: "ct", Type: (*rules.Ct)(nil)},
	{Name: "exthdr", Type: (*rules.Exthdr)(nil)},
	{Name: "fib", Type: (*rules.Fib)(nil)},
	{Name: "hash", Type: (*rules.Hash)(nil)},
	{Name: "inner", Type: (*rules.Inner)(nil)},
	{Name: "map_lookup", Type: (*rules.MapLookup)(nil)},
	{Name: "meta", Type: (*rules.Meta)(nil)},
	{Name: "npt", Type: (*rules.NPT)(nil)},
	{Name: "numgen", Type: (*rules.Numgen)(nil)},
	{Name: "osf", Type: (*rules.Osf)(nil)},
	{Name: "payload", Type: (*rules.Payload)(nil)},
	{Name: "rt", Type: (*rules.Rt)(nil)},
	{Name: "shift", Type: (*rules.Shift)(nil)},
	{Name: "slice", Type: (*rules.Slice)(nil)},
	{Name: "socket", Type: (*rules.Socket)(nil)},
	{Name: "step", Type: (*rules.Step)(nil)},
	{Name: "tainted", Type: (*rules.Tainted)(nil)},
	{Name: "tunnel", Type: (*rules.Tunnel)(nil)},
	{Name: "unrecorded", Type: (*rules.Unrecorded)(nil)},
	{Name: "xfrm", Type: (*rules.Xfrm)(nil)},
}

// conditions are the statements that hold or do not.
var conditions = []jsonform.Row{
	{Name: "all_of", Type: (*rules.AllOf)(nil)},
	{Name: "any_of", Type: (*rules.AnyOf)(nil)},
	{Name: "chance", Type: (*rules.Chance)(nil)},
	{Name: "cluster", Type: (*rules.Cluster)(nil)},
	{Name: "connlimit", Type: (*rules.Connlimit)(nil)},
	{Name: "dup", Type: (*rules.Dup)(nil)},
	{Name: "dynset", Type: (*rules.Dynset)(nil)},
	{Name: "fixed", Type: (*rules.Fixed)(nil)},
	{Name: "flow_offload", Type: (*rules.FlowOffload)(nil)},
	{Name: "fwd", Type: (*rules.Fwd)(nil)},
	{Name: "in_ipset", Type: (*rules.InIPSet)(nil)},
	{Name: "in_set", Type: (*rules.InSet)(nil)},
	{Name: "limit", Type: (*rules.Limit)(nil)},
	{Name: "match", Type: (*rules.Match)(nil)},
	{Name: "match_range", Type: (*rules.MatchRange)(nil)},
	{Name: "not_of", Type: (*rules.NotOf)(nil)},
	{Name: "opaque", Type: (*rules.Opaque)(nil)},
	{Name: "open", Type: (*rules.Open)(nil)},
	{Name: "queue", Type: (*rules.Queue)(nil)},
	{Name: "quota", Type: (*rules.Quota)(nil)},
	{Name: "strip_option", Type: (*rules.StripOption)(nil)},
	{Name: "synproxy", Type: (*rules.Synproxy)(nil)},
	{Name: "tproxy", Type: (*rules.TProxy)(nil)},
	{Name: "xt_cgroup", Type: (*xt.OfCgroup)(nil)},
	{Name: "xt_connbytes", Type: (*xt.CountedBytes)(nil)},
	{Name: "xt_helper", Type: (*xt.OfHelper)(nil)},
	{Name: "xt_rpfilter", Type: (*xt.ReversePath)(nil)},
	{Name: "xt_u32", Type: (*xt.U32Condition)(nil)},
}

// effects are the statements that are no conditions.
var effects = []jsonform.Row{
	{Name: "assign", Type: (*rules.Assign)(nil)},
	{Name: "counter", Type: (*rules.Counter)(nil)},
	{Name: "feed_ipset", Type: (*rules.FeedIPSet)(nil)},
	{Name: "last", Type: (*rules.Last)(nil)},
	{Name: "load", Type: (*rules.Load)(nil)},
	{Name: "log", Type: (*rules.Log)(nil)},
	{Name: "map_ipset", Type: (*rules.MapIPSet)(nil)},
	{Name: "nat", Type: (*rules.NAT)(nil)},
	{Name: "notrack", Type: (*rules.Notrack)(nil)},
	{Name: "obj_ref", Type: (*rules.ObjRef)(nil)},
	{Name: "reject", Type: (*rules.Reject)(nil)},
	{Name: "remark", Type: (*rules.Remark)(nil)},
	{Name: "verdict", Type: (*rules.Verdict)(nil)},
	{Name: "verdict_map", Type: (*rules.VerdictMap)(nil)},
}
