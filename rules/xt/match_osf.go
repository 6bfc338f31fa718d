package xt

import "github.com/ntdiag/ntdiag/rules"

// NF_OSF_*.
const (
	osfGenre  = 1 << 0
	osfTTL    = 1 << 1
	osfLog    = 1 << 2
	osfInvert = 1 << 3
)

// osf is struct nf_osf_info.
type osf struct {
	genre         string
	flags         uint32
	loglevel, ttl uint32
}

func decodeOSF(_ *Context, r *reader) Extension {
	x := &osf{genre: r.str(32)}
	r.skip(4)
	x.flags, x.loglevel, x.ttl = r.u32(), r.u32(), r.u32()
	if x.flags&^(osfGenre|osfTTL|osfLog|osfInvert) != 0 {
		r.fail("unknown flags 0x%x", x.flags)
	}
	return x
}

// Statements follows nf_osf_match: fingerprints are made of TTL, window and
// options of a SYN.
func (x *osf) Statements(c *Context) []rules.Statement {
	return openOn(c, "osf", rules.FromTCPHeader)
}

func (x *osf) Save(_ *Context, o *Options) {
	o.Opt(x.flags&osfInvert != 0, "--genre", x.genre)
	if x.flags&osfTTL != 0 {
		o.Word("--ttl", utoa(x.ttl))
	}
	if x.flags&osfLog != 0 {
		o.Word("--log", utoa(x.loglevel))
	}
}
