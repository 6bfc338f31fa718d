package capture

import "github.com/ntdiag/ntdiag/diagnose/host"

// Attributes of CTA_PROTOINFO, one nest for each protocol with a state.
const (
	protoTCP  = 1
	protoDCCP = 2
	protoSCTP = 3
)

// protoAttrs is one row an attribute of each nest, in the order of its enum.
var protoAttrs = [...][]func(f *host.Flow, val []byte) bool{
	protoTCP: { // CTA_PROTOINFO_TCP_*
		1: func(f *host.Flow, v []byte) bool { return has8(f, host.HasTCPState, &f.TCPState, v) },
		2: func(f *host.Flow, v []byte) bool { return has8(f, host.HasTCPScale, &f.TCPScale[Original], v) },
		3: func(f *host.Flow, v []byte) bool { return has8(f, host.HasTCPScale, &f.TCPScale[Reply], v) },
		4: func(f *host.Flow, v []byte) bool { return tcpFlags(f, Original, v) },
		5: func(f *host.Flow, v []byte) bool { return tcpFlags(f, Reply, v) },
	},
	protoDCCP: { // CTA_PROTOINFO_DCCP_*
		1: func(f *host.Flow, v []byte) bool { return has8(f, host.HasDCCPState, &f.L4State, v) },
		2: func(f *host.Flow, v []byte) bool { return has8(f, host.HasDCCPRole, &f.DCCPRole, v) },
		3: dccpSeq,
	},
	protoSCTP: { // CTA_PROTOINFO_SCTP_*
		1: func(f *host.Flow, v []byte) bool { return has8(f, host.HasSCTPState, &f.L4State, v) },
		2: func(f *host.Flow, v []byte) bool { return has32(f, host.HasVTags, &f.VTags[Original], v) },
		3: func(f *host.Flow, v []byte) bool { return has32(f, host.HasVTags, &f.VTags[Reply], v) },
	},
}

func protoinfo(f *host.Flow, b []byte) bool {
	a := attrs{b: b}
	for a.next() {
		if int(a.typ) >= len(protoAttrs) {
			continue
		}
		rows := protoAttrs[a.typ]
		in := attrs{b: a.val}
		for in.next() {
			if int(in.typ) >= len(rows) || rows[in.typ] == nil {
				continue
			}
			if !rows[in.typ](f, in.val) {
				return false
			}
		}
		if in.bad {
			return false
		}
	}
	return !a.bad
}

func has8(f *host.Flow, h host.Present, p *uint8, v []byte) (ok bool) {
	f.Has |= h
	*p, ok = u8(v)
	return ok
}

// tcpFlags reads struct nf_ct_tcp_flags: the flags, and a mask that counts only
// where they are set.
func tcpFlags(f *host.Flow, d Direction, v []byte) bool {
	if len(v) != 2 {
		return false
	}
	f.Has |= host.HasTCPFlags
	f.TCPFlags[d] = v[0]
	return true
}

func dccpSeq(f *host.Flow, v []byte) (ok bool) {
	f.Has |= host.HasDCCPSeq
	f.DCCPSeq, ok = beU64(v)
	return ok
}

// seqAdj reads CTA_SEQADJ_CORRECTION_POS 1, _OFFSET_BEFORE 2, _OFFSET_AFTER 3.
func seqAdj(f *host.Flow, s *host.SeqAdj, b []byte) (ok bool) {
	f.Has |= host.HasSeqAdj
	a := attrs{b: b}
	for a.next() {
		var v uint32
		switch ok = true; a.typ {
		case 1:
			s.Pos, ok = beU32(a.val)
		case 2:
			v, ok = beU32(a.val)
			s.Before = int32(v)
		case 3:
			v, ok = beU32(a.val)
			s.After = int32(v)
		}
		if !ok {
			return false
		}
	}
	return !a.bad
}

// synproxy reads CTA_SYNPROXY_ISN 1, _ITS 2, _TSOFF 3. All zero is an entry
// that has the room only: ctnetlink gives it to each that it creates.
func synproxy(f *host.Flow, b []byte) (ok bool) {
	a := attrs{b: b}
	for a.next() {
		switch ok = true; a.typ {
		case 1:
			f.Synproxy.ISN, ok = beU32(a.val)
		case 2:
			f.Synproxy.ITS, ok = beU32(a.val)
		case 3:
			f.Synproxy.TSOff, ok = beU32(a.val)
		}
		if !ok {
			return false
		}
	}
	if f.Synproxy != (host.Synproxy{}) {
		f.Has |= host.HasSynproxy
	}
	return !a.bad
}
