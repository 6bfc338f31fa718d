package xt

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// XT_HMARK_*, each a bit.
const (
	hmarkSrcMask = iota
	hmarkDstMask
	hmarkSPI
	hmarkSPIMask
	hmarkSport
	hmarkDport
	hmarkSportMask
	hmarkDportMask
	hmarkProtoMask
	hmarkRnd
	hmarkModulus
	hmarkOffset
	hmarkCT
	hmarkL3
	hmarkL34
	hmarkBits
)

// hmark is struct xt_hmark_info.
type hmark struct {
	src, dst             [16]byte // masks of the addresses
	sportMask, dportMask uint16
	sport, dport         uint16
	flags                uint32
	proto                uint16
	rnd, modulus, offset uint32
	spiMask, spi         uint32 // the ports as one number
}

func decodeHMARK(_ *Context, r *reader) Extension {
	x := &hmark{src: [16]byte(r.bytes(16)), dst: [16]byte(r.bytes(16))}
	x.sportMask, x.dportMask, x.sport, x.dport = r.be16(), r.be16(), r.be16(), r.be16()
	x.spiMask, x.spi = uint32(x.sportMask)<<16|uint32(x.dportMask), uint32(x.sport)<<16|uint32(x.dport)
	x.flags, x.proto = r.u32(), r.u16()
	r.align(4)
	x.rnd, x.modulus, x.offset = r.u32(), r.u32(), r.u32()
	if x.flags>>hmarkBits != 0 || x.modulus == 0 {
		r.fail("flags %#x, modulus %d", x.flags, x.modulus)
	}
	return x
}

func (x *hmark) has(flag uint) bool { return x.flags>>flag&1 != 0 }

// Statements follows hmark_tg_v4 and hmark_tg_v6. The hash is one of values
// that a secret of the kernel takes part in only as far as --hmark-rnd says, but
// it is not computed here: the mark is one of the range.
func (x *hmark) Statements(c *Context) []rules.Statement {
	var out []rules.Statement
	if x.has(hmarkCT) {
		// without an entry the mark stays
		out = append(out, &rules.Match{
			Span: c.Span, Left: &rules.Ct{Key: rules.CtDirection, Dir: rules.CtDirNone}, Op: rules.CmpEq, Right: []byte{0},
		})
	}
	return append(out, &rules.Assign{
		Span: c.Span, Target: rules.AssignMeta, Dest: &rules.Meta{Key: rules.MetaMark},
		Value: &rules.Hash{Symmetric: true, Modulus: x.modulus, Offset: x.offset},
	})
}

func (x *hmark) Save(c *Context, o *Options) {
	n := 16
	if c.Family == rules.FamilyIPv4 {
		n = 4
	}
	for _, f := range []struct {
		flag   uint
		option string
		value  string
	}{
		{hmarkSrcMask, "--hmark-src-prefix", maskBits(x.src[:n])},
		{hmarkDstMask, "--hmark-dst-prefix", maskBits(x.dst[:n])},
		{hmarkSportMask, "--hmark-sport-mask", fmt.Sprintf("0x%04x", x.sportMask)},
		{hmarkDportMask, "--hmark-dport-mask", fmt.Sprintf("0x%04x", x.dportMask)},
		{hmarkSPIMask, "--hmark-spi-mask", fmt.Sprintf("0x%08x", x.spiMask)},
		{hmarkSport, "--hmark-sport", fmt.Sprintf("0x%04x", x.sport)},
		{hmarkDport, "--hmark-dport", fmt.Sprintf("0x%04x", x.dport)},
		{hmarkSPI, "--hmark-spi", fmt.Sprintf("0x%08x", x.spi)},
		{hmarkProtoMask, "--hmark-proto-mask", fmt.Sprintf("0x%02x", x.proto)},
		{hmarkRnd, "--hmark-rnd", fmt.Sprintf("0x%08x", x.rnd)},
		{hmarkModulus, "--hmark-mod", fmt.Sprint(x.modulus)},
		{hmarkOffset, "--hmark-offset", fmt.Sprint(x.offset)},
		{hmarkCT, "--hmark-tuple", "ct"},
	} {
		if x.has(f.flag) {
			o.Word(f.option, f.value)
		}
	}
}

// maskBits is the prefix length of a mask, -1 for one with holes.
func maskBits(mask []byte) string {
	if n, ok := prefixLen(mask); ok {
		return fmt.Sprint(n)
	}
	return "-1"
}
