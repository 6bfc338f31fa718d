package invalid_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/kernlog"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

var (
	toNFLog  = []string{"net.netfilter.nf_log.2=nfnetlink_log", "net.netfilter.nf_log.10=nfnetlink_log"}
	toSyslog = []string{"net.netfilter.nf_log.2=nf_log_ipv4", "net.netfilter.nf_log.10=nf_log_ipv6"}
)

// TestKernelText has every case logged twice, as a packet and as a line of the
// kernel's log, and compares what is read of them.
func TestKernelText(t *testing.T) {
	lab.Global(t)() // left out here where it may not be
	b := newBed(t)
	kmsg, err := capture.OpenKmsg(false)
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer kmsg.Close()
	for _, c := range kernelCases {
		if len(c.log) == 0 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			packets := c.asPackets(t, b)
			lines := c.asLines(t, b, kmsg)
			lines = slices.DeleteFunc(lines, func(m invalid.Message) bool {
				return m.HasMAC && len(packets) > 0 && m.SrcMAC != packets[0].SrcMAC // from another client
			})
			if len(lines) != len(packets) {
				t.Fatalf("%d lines, %d packets: %+v", len(lines), len(packets), lines)
			}
			for i := range lines {
				c.sameMessage(t, &lines[i], &packets[i])
			}
		})
	}
}

func (c *kernelCase) asPackets(t *testing.T, b *bed) []invalid.Message {
	if err := b.router.Sysctl(toNFLog...); err != nil {
		t.Fatal(err)
	}
	p := c.prepare(t, b)
	got := b.observe(t, c.send.from, c.ends(), func() error { return b.put(c.send.from, p) })
	var out []invalid.Message
	for i := range got.lines {
		out = append(out, got.lines[i].message())
	}
	return out
}

// asLines are the lines in the kernel's log of the case's packet. The log is one
// for all namespaces: others may have lines there.
func (c *kernelCase) asLines(t *testing.T, b *bed, kmsg *capture.Kmsg) []invalid.Message {
	p := c.prepare(t, b)
	if err := b.router.Sysctl(toSyslog...); err != nil {
		t.Fatal(err)
	}
	var out []invalid.Message
	b.observe(t, c.send.from, c.ends(), func() error {
		defer lab.Global(t, "net.netfilter.nf_log_all_netns=1")()
		if _, err := linesNow(kmsg); err != nil {
			return err
		}
		err := b.put(c.send.from, p)
		if err == nil {
			err = b.passed(c.send.from, c.ends(), nil)
		}
		if err == nil {
			out, err = linesNow(kmsg)
		}
		return err
	})
	return slices.DeleteFunc(out, func(m invalid.Message) bool {
		if m.Rest != nil {
			t.Errorf("%q: not understood: %q", m.Text, m.Rest)
		}
		return c.as == "" && (m.Packet.Src != p.Src || m.Packet.Dst != p.Dst)
	})
}

// linesNow are the messages of conntrack in the kernel's log since the last call.
func linesNow(kmsg *capture.Kmsg) ([]invalid.Message, error) {
	var out []invalid.Message
	for {
		var r kernlog.Record
		var m invalid.Message
		some, err := kmsg.Pending(&r)
		if err != nil || !some {
			return out, err
		}
		if invalid.Parse(bytes.Clone(r.Text), &m) {
			out = append(out, m)
		}
	}
}

// sameMessage compares a line with the packet of the same message, which tells more.
func (c *kernelCase) sameMessage(t *testing.T, line, packet *invalid.Message) {
	if line.Reason != packet.Reason || line.Form != packet.Form || !reflect.DeepEqual(line.Args, packet.Args) {
		t.Errorf("line %q %+v, packet %q %+v", line.Text, line.Args, packet.Text, packet.Args)
	}
	if line.SrcMAC != packet.SrcMAC || line.HasMAC != packet.HasMAC || line.HasInner != packet.HasInner {
		t.Errorf("line from %x, quotes %v; packet from %x, quotes %v", line.SrcMAC, line.HasInner, packet.SrcMAC, packet.HasInner)
	}
	in, out := [...]string{"c0", "s0", ""}[c.send.from], ""
	if c.send.from == atRouter {
		out = "s0"
	}
	if line.Kind == invalid.KindInvalid && (string(line.In) != in || string(line.Out) != out) {
		t.Errorf("in by %q, out by %q", line.In, line.Out)
	}
	for _, pair := range [][2]invalid.Packet{{line.Packet, packet.Packet}, {line.Inner, packet.Inner}} {
		if got := only(pair[1], pair[0].Has); got != pair[0] {
			t.Errorf("line   %+v\npacket %+v", pair[0], got)
		}
	}
}

// only leaves in p what has names.
func only(p invalid.Packet, has invalid.Field) invalid.Packet {
	v := reflect.ValueOf(&p).Elem()
	for field, names := range map[invalid.Field][]string{
		invalid.HasPorts: {"SPort", "DPort"}, invalid.HasVTag: {"VTag"}, invalid.HasICMP: {"ICMPType", "ICMPCode"},
		invalid.HasICMPID: {"ICMPID"}, invalid.HasTCP: {"Window", "TCPFlags"}, invalid.HasSeq: {"Seq", "Ack"},
		invalid.HasLen: {"Len"}, invalid.HasTTL: {"TTL"}, invalid.HasMark: {"Mark"}, invalid.HasUID: {"UID"},
		invalid.HasFrag: {"FragOff"},
	} {
		if has&field == 0 {
			for _, name := range names {
				v.FieldByName(name).SetZero()
			}
		}
	}
	p.Has = has
	return p
}
