package capture

import "github.com/ntdiag/ntdiag/diagnose/host"

// Loss is a thing of an entry that a delete and an insert do not keep.
type Loss struct {
	What, Why string
	// Of tells whether f can have had it; nil is every entry.
	Of func(f *host.Flow) bool `json:"-"`
}

// InsertLoses is all that Insert does not bring back, as the kernel was found
// to do it.
var InsertLoses = []Loss{
	{"id", "the kernel makes it from the address of the entry in memory", nil},
	{"counters", "they begin at 0", has(host.HasCounters)},
	{"start", "it is the time of the insert", has(host.HasStart)},
	{"status", "SEEN_REPLY, ASSURED and FIXED_TIMEOUT are set; the NAT bits follow from the tuples, and both DONE bits go together; HELPER is set with every helper", nil},
	{"labels", "they are kept only while a rule of this namespace uses ct labels", has(host.HasLabels)},
	{"security context", "ctnetlink takes none", has(host.HasSecctx)},
	{"offload", "the flowtable does not know the entry, and its timeout was not told: it gets 120 s", offloaded},
	{"masquerade", "the device is not told: the entry stays when its address or link goes, or its route changes", status(host.StatusSrcNAT)},
	{"timeout policy", "not told: the next packet sets the default timeout of its state (ct timeout, -j CT --timeout)", nil},
	{"event mask", "not told (-j CT --ctevents)", nil},
	{"helper data", "expectations end with the master, and what the helper had read of the stream is not told", has(host.HasHelper)},
	{"master", "refused while the entry that expected it is not in the table", has(host.HasMaster)},
	{"tcp windows", "not told: learned from the next packets, which pass whatever their sequence numbers", proto(host.ProtoTCP)},
	{"tcp handshake", "the answer to a SYN is invalid until the SYN is sent again, and window scales are kept only where both sides offered one", handshake},
	{"udp stream", "since when it is answered is not told: one more packet makes it ASSURED", answered},
	{"gre timeouts", "not told: the entry ends with its next packet", proto(host.ProtoGRE)},
}

func has(h host.Present) func(*host.Flow) bool {
	return func(f *host.Flow) bool { return f.Has&h != 0 }
}

func status(s host.Status) func(*host.Flow) bool {
	return func(f *host.Flow) bool { return f.Status&s != 0 }
}

func proto(n uint8) func(*host.Flow) bool {
	return func(f *host.Flow) bool { return f.Original.Proto == n }
}

func offloaded(f *host.Flow) bool {
	return f.Status&(host.StatusOffload|host.StatusHWOffload) != 0 || f.Has&host.HasTimeout == 0
}

func handshake(f *host.Flow) bool {
	return f.Has&host.HasTCPState != 0 && !bothScale(f)
}

func answered(f *host.Flow) bool {
	udp := f.Original.Proto == host.ProtoUDP || f.Original.Proto == host.ProtoUDPLite
	return udp && f.Status.Has(host.StatusSeenReply) && !f.Status.Has(host.StatusAssured)
}
