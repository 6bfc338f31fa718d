package invalid

import (
	"fmt"
	"strings"
)

// mostly is the share of packets from which on a thing is taken to be behind
// all of them, in percent.
const mostly = 95

// findChecksum: who has it, a device or a sender.
func findChecksum(q *inquiry) *Cause {
	p := q.all()
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, true, "checksums are wrong")
	devices := share(&p, func(f *Flow) string { return f.In })
	senders := share(&p, func(f *Flow) string {
		if !f.HasMAC {
			return ""
		}
		return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", f.SrcMAC[0], f.SrcMAC[1], f.SrcMAC[2], f.SrcMAC[3], f.SrcMAC[4], f.SrcMAC[5])
	})
	sources := share(&p, func(f *Flow) string { return f.Packet.Src.String() })
	c.say("%s; by device: %s; by sender: %s; by source: %s", p.amount(), orNone(devices), orNone(senders), orNone(sources))
	switch {
	case len(sources) == 1 || leads(sources, p.packets):
		c.Text = "checksums of what " + sources[0].Name + " sends are wrong"
		c.fix("switch off checksum offload on "+sources[0].Name+" (ethtool -K, tx off, for the device that it sends by)", "its CPU makes the checksums")
	case len(senders) == 1 || leads(senders, p.packets):
		c.Text = "checksums are wrong of whatever comes from " + senders[0].Name + ", of " + count(uint64(len(sources)), "source", "sources")
		c.fix("look at the host or router that has the address "+senders[0].Name+": what rewrites packets there, and whether switching off its checksum offload (ethtool -K, tx off) ends it", "its CPU makes the checksums")
	case len(devices) == 1 || leads(devices, p.packets):
		dev := devices[0].Name
		c.Text = "checksums are wrong of whatever comes in by " + dev
		c.fix("ethtool -K "+shellWord(dev)+" rx off", "the CPU checks what comes in by "+dev)
	default:
		c.Likely = true
	}
	if len(devices) > 0 {
		q.virtual(c, devices[0].Name)
	}
	if sysctl(q.Host, keyChecksum) != "0" {
		c.fix(fixChecksum, costChecksum)
	}
	return c
}

// virtual: what a virtual machine or a container sends needs no checksum until
// it leaves the machine.
func (q *inquiry) virtual(c *Cause, dev string) {
	if q.Host == nil {
		return
	}
	l, ok := q.Host.LinkByName(dev)
	if !ok {
		return
	}
	switch l.Kind {
	case "veth", "tun", "macvtap", "ipvlan", "macvlan":
		c.say("%s is a %s device: what a program puts on it as raw frames (AF_PACKET) leaves the checksum to hardware that is not there", dev, l.Kind)
		c.fix("switch off checksum offload in the guest or container behind "+dev+" (ethtool -K, tx off, for its device)", "its CPU makes the checksums")
	}
}

func leads(all []Seen, of uint64) bool { return len(all) > 0 && all[0].N*100 >= of*mostly }

func orNone(all []Seen) string {
	if len(all) == 0 {
		return "not told"
	}
	return listing(all)
}

// shellWord quotes the name of a device, which a log can have made up.
func shellWord(w string) string {
	plain := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-_./:@%+", c)
	}
	if strings.IndexFunc(w, func(c rune) bool { return !plain(c) }) < 0 {
		return w
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
