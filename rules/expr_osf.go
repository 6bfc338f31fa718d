package rules

// OsfTTL says how a fingerprint's TTL counts (NF_OSF_TTL_*).
type OsfTTL uint8

const (
	OsfTTLTrue    OsfTTL = 0
	OsfTTLLess    OsfTTL = 1
	OsfTTLNoCheck OsfTTL = 2
)

// osfWidth is NFT_OSF_MAXGENRELEN.
const osfWidth = 16

// Osf is the name of the system that sent a SYN, by its fingerprint
// (nft_osf), "unknown" where none fits.
type Osf struct {
	TTL     OsfTTL
	Version bool // NFT_OSF_F_VERSION: genre and version
}

func (*Osf) Width() int { return osfWidth }

// Eval follows nft_osf_eval: only a SYN of IPv4 has a fingerprint, which rests
// on TTL, window and options.
func (*Osf) Eval(p *Packet) Value {
	if p.Family != FamilyIPv4 || p.Proto != protoTCP {
		return Missing(osfWidth)
	}
	syn := tcpFlag(p, tcpSYN)
	v := UnknownBytes(osfWidth, FromTCPHeader)
	switch syn.Truth {
	case No:
		v = Missing(osfWidth)
		v.AbsentBy = syn.Assumed
	case Unknown:
		v.Absent, v.AbsentBy = Unknown, syn.Unknown
	}
	return v
}
