package rulesjson

import (
	"reflect"

	"github.com/ntdiag/ntdiag/rules"
	"github.com/ntdiag/ntdiag/rules/jsonform"
)

// enums are the numbers that are written by name. Numbers of the kernel's that
// are not named here may come; of this program's own there are no others.
var enums = map[reflect.Type]*jsonform.Enum{
	reflect.TypeFor[rules.Family](): {Names: named(map[rules.Family]string{
		rules.FamilyUnspec: "unspec", rules.FamilyInet: "inet", rules.FamilyIPv4: "ip", rules.FamilyARP: "arp",
		rules.FamilyNetdev: "netdev", rules.FamilyBridge: "bridge", rules.FamilyIPv6: "ip6",
	})},
	reflect.TypeFor[rules.Hook](): {Names: named(map[rules.Hook]string{
		rules.Prerouting: "prerouting", rules.Input: "input", rules.Forward: "forward", rules.Output: "output",
		rules.Postrouting: "postrouting", rules.Ingress: "ingress",
	})},
	reflect.TypeFor[rules.VerdictCode](): {Names: named(map[rules.VerdictCode]string{
		rules.VerdictDrop: "drop", rules.VerdictAccept: "accept", rules.VerdictStolen: "stolen", rules.VerdictQueue: "queue",
		rules.VerdictContinue: "continue", rules.VerdictBreak: "break", rules.VerdictJump: "jump",
		rules.VerdictGoto: "goto", rules.VerdictReturn: "return",
	})},
	reflect.TypeFor[rules.CmpOp](): {Closed: true, Names: named(map[rules.CmpOp]string{
		rules.CmpEq: "==", rules.CmpNeq: "!=", rules.CmpLt: "<", rules.CmpLte: "<=", rules.CmpGt: ">", rules.CmpGte: ">=",
	})},
	reflect.TypeFor[rules.BitOp](): {Closed: true, Names: named(map[rules.BitOp]string{
		rules.BitAnd: "and", rules.BitOr: "or", rules.BitXor: "xor",
	})},
	reflect.TypeFor[rules.PayloadBase](): {Names: named(map[rules.PayloadBase]string{
		rules.PayloadLink: "link", rules.PayloadNetwork: "network", rules.PayloadTransport: "transport",
		rules.PayloadInner: "inner", rules.PayloadTunnel: "tunnel",
	})},
	reflect.TypeFor[rules.CtDir](): {Names: named(map[rules.CtDir]string{
		rules.CtDirOriginal: "original", rules.CtDirReply: "reply", rules.CtDirNone: "none",
	})},
	reflect.TypeFor[rules.NATKind](): {Closed: true, Names: named(map[rules.NATKind]string{
		rules.SNAT: "snat", rules.DNAT: "dnat", rules.Masquerade: "masquerade", rules.Redirect: "redirect", rules.Netmap: "netmap",
	})},
	reflect.TypeFor[rules.AssignTarget](): {Closed: true, Names: named(map[rules.AssignTarget]string{
		rules.AssignMeta: "meta", rules.AssignCt: "ct", rules.AssignPayload: "payload", rules.AssignExthdr: "exthdr",
	})},
	reflect.TypeFor[rules.DynsetOp](): {Names: named(map[rules.DynsetOp]string{
		rules.DynsetAdd: "add", rules.DynsetUpdate: "update", rules.DynsetDelete: "delete",
	})},
	reflect.TypeFor[rules.IPSetDir](): {Closed: true, Names: named(map[rules.IPSetDir]string{
		rules.IPSetDst: "dst", rules.IPSetSrc: "src",
	})},
	reflect.TypeFor[rules.IPSetCounterOp](): {Names: named(map[rules.IPSetCounterOp]string{
		rules.IPSetCounterNone: "none", rules.IPSetCounterEq: "==", rules.IPSetCounterNe: "!=",
		rules.IPSetCounterLt: "<", rules.IPSetCounterGt: ">",
	})},
	reflect.TypeFor[rules.Source](): {Closed: true, Names: named(map[rules.Source]string{
		rules.FromEntry: "entry", rules.FromIif: "iif", rules.FromOif: "oif", rules.FromMark: "mark", rules.FromCtMark: "ct_mark",
		rules.FromCtLabel: "ct_label", rules.FromCtZone: "ct_zone", rules.FromCtCounters: "ct_counters",
		rules.FromCtStatus: "ct_status", rules.FromCtHelper: "ct_helper", rules.FromPriority: "priority", rules.FromLink: "link",
		rules.FromIPHeader: "ip_header", rules.FromTCPHeader: "tcp_header", rules.FromICMPHeader: "icmp_header",
		rules.FromPayload: "payload", rules.FromLength: "length", rules.FromFragment: "fragment", rules.FromExthdr: "exthdr",
		rules.FromPktType: "pkttype", rules.FromSocket: "socket", rules.FromCgroup: "cgroup", rules.FromTime: "time",
		rules.FromCPU: "cpu", rules.FromRandom: "random", rules.FromHash: "hash", rules.FromRoute: "route",
		rules.FromIPsec: "ipsec", rules.FromLimit: "limit", rules.FromQuota: "quota", rules.FromSet: "set",
		rules.FromCtState: "ct_state", rules.FromChainOrder: "chain_order", rules.FromVerdict: "verdict",
		rules.FromOpaque: "opaque", rules.FromTrace: "trace", rules.FromQueue: "queue", rules.FromTunnel: "tunnel",
		rules.FromIPVS: "ipvs", rules.FromPort: "port", rules.FromNAT: "nat",
	})},
	reflect.TypeFor[rules.SetFlags](): {Bits: true, Names: named(map[rules.SetFlags]string{
		rules.SetAnonymous: "anonymous", rules.SetConstant: "constant", rules.SetInterval: "interval", rules.SetMap: "map",
		rules.SetTimeout: "timeout", rules.SetEval: "eval", rules.SetObject: "object", rules.SetConcat: "concat", rules.SetExpr: "expr",
	})},
	reflect.TypeFor[rules.NATFlags](): {Bits: true, Names: named(map[rules.NATFlags]string{
		rules.NATMapIPs: "map_ips", rules.NATProtoSpecified: "proto_specified", rules.NATProtoRandom: "proto_random",
		rules.NATPersistent: "persistent", rules.NATFullyRandom: "fully_random", rules.NATProtoOffset: "proto_offset",
		rules.NATNetmap: "netmap",
	})},
	reflect.TypeFor[rules.ObjectType](): {Names: named(map[rules.ObjectType]string{
		0: "none", rules.ObjectCounter: "counter", rules.ObjectQuota: "quota", rules.ObjectCtHelper: "ct_helper",
		rules.ObjectLimit: "limit", rules.ObjectConnlimit: "connlimit", rules.ObjectTunnel: "tunnel",
		rules.ObjectCtTimeout: "ct_timeout", rules.ObjectSecmark: "secmark", rules.ObjectCtExpect: "ct_expect",
		rules.ObjectSynproxy: "synproxy",
	}), ZeroLeftOut: true},
}

// Truths is the form of rules.Truth, for models that hold one.
var Truths = &jsonform.Enum{Closed: true, Names: named(map[rules.Truth]string{
	rules.Unknown: "unknown", rules.No: "no", rules.Yes: "yes",
})}

// Families is the form of rules.Family.
var Families = enums[reflect.TypeFor[rules.Family]()]

func named[T ~uint8 | ~uint32 | ~int32](in map[T]string) map[uint64]string {
	out := make(map[uint64]string, len(in))
	for n, name := range in {
		out[uint64(int64(n))] = name
	}
	return out
}
