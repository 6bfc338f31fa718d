package nft

import "github.com/ntdiag/ntdiag/rules"

// NFTA_LOG_*.
const (
	attrLogGroup      = 1
	attrLogPrefix     = 2
	attrLogSnaplen    = 3
	attrLogQthreshold = 4
	attrLogLevel      = 5
	attrLogFlags      = 6
)

// decodeLog follows nft_log_dump.
func decodeLog(d *decoder, a *attrs) error {
	st := &rules.Log{
		Span: d.span(), Prefix: a.str(attrLogPrefix),
		Snaplen: a.opt32(attrLogSnaplen), Level: a.opt32(attrLogLevel), Flags: a.opt32(attrLogFlags),
		HasGroup: a.has(attrLogGroup), HasLevel: a.has(attrLogLevel),
		HasSnaplen: a.has(attrLogSnaplen), HasQthreshold: a.has(attrLogQthreshold),
	}
	if st.HasGroup {
		st.Group = a.u16(attrLogGroup)
	}
	if st.HasQthreshold {
		st.Qthreshold = a.u16(attrLogQthreshold)
	}
	if a.err != nil {
		return a.err
	}
	d.emit(st)
	return nil
}
