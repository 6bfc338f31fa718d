package counters

// helperAdjust: nf_ct_seq_adjust failed.
var helperAdjust = cause{
	name: "helper-adjust", told: true,
	text: "the sequence numbers of a connection that a helper rewrites could not be adjusted",
	ask:  "ntdiag flows --status SEQ_ADJUST -o wide",
	look: func(c *Case, f *Finding, x *Cause) string {
		s := c.flows()
		switch {
		case s == nil:
			return none
		case s.SeqAdjusted == 0 && c.within():
			return "no connection has its sequence numbers adjusted"
		case s.SeqAdjusted == 0:
			return none
		}
		x.Grade = Indicated
		x.Evidence = append(x.Evidence, counted(uint64(s.SeqAdjusted), "connection has its", "connections have their")+" sequence numbers adjusted")
		if log := c.kernelLog(); log != nil && log.Helper > 0 {
			x.Evidence = append(x.Evidence, counted(uint64(log.Helper), "message", "messages")+" of a helper in the kernel's log, the last: "+log.LastHelper)
		}
		return ""
	},
}
