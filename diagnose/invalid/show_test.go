package invalid

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// show writes every field of m that its Has fields say is there.
func show(m *Message) string {
	var b strings.Builder
	if m.Packet.Family != rules.FamilyUnspec {
		b.WriteString(showPacket(&m.Packet))
	}
	for _, d := range []struct {
		name string
		dev  []byte
	}{{"in", m.In}, {"out", m.Out}, {"physin", m.PhysIn}, {"physout", m.PhysOut}} {
		if len(d.dev) > 0 {
			fmt.Fprintf(&b, " %s=%s", d.name, d.dev)
		}
	}
	if m.HasMAC {
		b.WriteString(" mac=")
		for i, c := range m.SrcMAC {
			if i > 0 {
				b.WriteByte(':')
			}
			fmt.Fprintf(&b, "%02x", c)
		}
	}
	if m.HasInner {
		b.WriteString(" [" + showPacket(&m.Inner) + "]")
	}
	return strings.TrimPrefix(b.String(), " ")
}

func showPacket(p *Packet) string {
	src, dst := p.Src.String(), p.Dst.String()
	if p.Has&HasPorts != 0 {
		src, dst = netip.AddrPortFrom(p.Src, p.SPort).String(), netip.AddrPortFrom(p.Dst, p.DPort).String()
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s>%s", p.Family, rules.ProtocolText(p.Proto), src, dst)
	for _, f := range []struct {
		has  Field
		text string
	}{
		{HasLen, fmt.Sprintf("len=%d", p.Len)},
		{HasTTL, fmt.Sprintf("ttl=%d", p.TTL)},
		{HasFrag, fmt.Sprintf("frag=%d", p.FragOff)},
		{HasSeq, fmt.Sprintf("seq=%d ack=%d", p.Seq, p.Ack)},
		{HasTCP, fmt.Sprintf("win=%d flags=%s", p.Window, flagNames(p.TCPFlags))},
		{HasICMP, fmt.Sprintf("type=%d/%d", p.ICMPType, p.ICMPCode)},
		{HasICMPID, fmt.Sprintf("id=%d", p.ICMPID)},
		{HasVTag, fmt.Sprintf("vtag=%08x", p.VTag)},
		{HasMark, fmt.Sprintf("mark=%#x", p.Mark)},
		{HasUID, fmt.Sprintf("uid=%d", p.UID)},
		{HasTruncated, "truncated"},
	} {
		if p.Has&f.has != 0 {
			b.WriteString(" " + f.text)
		}
	}
	return b.String()
}

func flagNames(flags uint8) string {
	var out []string
	for i, name := range []string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"} {
		if flags>>i&1 != 0 {
			out = append(out, name)
		}
	}
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 { // as the kernel: CWR first
		out[i], out[k] = out[k], out[i]
	}
	return strings.Join(out, ",")
}

// showArgs writes the values that the reason names.
func showArgs(m *Message) string {
	a := &m.Args
	var out []string
	for _, f := range []struct {
		has  Arg
		text string
	}{
		{ArgOldState, fmt.Sprintf("oldstate=%d", a.OldState)},
		{ArgIndex, fmt.Sprintf("index=%d", a.Index)},
		{ArgVTag, fmt.Sprintf("vtag=%x want=%x", a.VTag, a.Want)},
		{ArgDir, fmt.Sprintf("dir=%d", a.Dir)},
		{ArgState, fmt.Sprintf("state=%s", a.State)},
		{ArgBound, fmt.Sprintf("bound=%d", a.Bound)},
		{ArgBytes, fmt.Sprintf("bytes=%d", a.Bytes)},
		{ArgChunk, fmt.Sprintf("chunk=%d", a.Chunk)},
		{ArgAddrs, fmt.Sprintf("outer=%s inner=%s", a.OuterDst, a.InnerSrc)},
		{ArgTimeout, fmt.Sprintf("timeout=%d", a.Timeout)},
		{ArgICMPType, fmt.Sprintf("icmp=%d", a.ICMPType)},
		{ArgHelper, fmt.Sprintf("helper=%s", a.Helper)},
		{ArgNetns, fmt.Sprintf("netns=%d", m.Netns)},
	} {
		if a.Has&f.has != 0 {
			out = append(out, f.text)
		}
	}
	return strings.Join(out, " ")
}
