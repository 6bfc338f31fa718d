package invalid_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestKernelBridge has a bridge call the hooks of IPv4 (br_netfilter): what it
// logs came in by the bridge, and by a port of it.
func TestKernelBridge(t *testing.T) {
	l, err := lab.New()
	if err != nil {
		lab.LeaveOut(t, err)
	}
	defer l.Close()
	hosts := map[string]*lab.Host{}
	for _, name := range []string{"client", "bridge", "server"} {
		if hosts[name], err = l.Host(name); err != nil {
			t.Fatal(err)
		}
	}
	bridge := hosts["bridge"]
	if _, err := bridge.Run("", "ip", "link", "add", "br0", "type", "bridge"); err != nil {
		lab.LeaveOut(t, err)
	}
	for host, port := range map[string]string{"client": "pa", "server": "pb"} {
		if err := l.Link(lab.End{Host: hosts[host], Dev: "eth0"}, lab.End{Host: bridge, Dev: port}); err != nil {
			t.Fatal(err)
		}
		if _, err := bridge.Run("", "ip", "link", "set", port, "master", "br0"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := bridge.Run("", "ip", "link", "set", "br0", "up"); err != nil {
		t.Fatal(err)
	}
	if err := bridge.Sysctl("net.bridge.bridge-nf-call-iptables=1"); err != nil {
		lab.LeaveOut(t, err) // without br_netfilter
	}
	if _, err := bridge.Run(baseRules, "nft", "-f", "-"); err != nil {
		t.Fatal(err)
	}
	if err := bridge.Sysctl("net.netfilter.nf_conntrack_log_invalid=255"); err != nil {
		t.Fatal(err)
	}
	wire, err := hosts["client"].Wire("eth0", hosts["server"], "eth0")
	if err != nil {
		t.Fatal(err)
	}
	tap, err := hosts["server"].Tap("eth0")
	if err != nil {
		t.Fatal(err)
	}
	reset := client(seg(rst, 1000, 0)).wire(ends4, noNAT)
	send := func(t *testing.T) {
		t.Helper()
		if err := wire.Send(reset); err != nil {
			t.Fatal(err)
		}
		if _, err := tap.Until(func(b []byte) bool { return bytes.Equal(b, reset.Bytes()) }); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("packet", func(t *testing.T) {
		live, err := capture.Open(bridge.Path())
		if err != nil {
			t.Fatal(err)
		}
		defer live.Close()
		log, err := live.NFLog(0)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		if err := bridge.Sysctl("net.netfilter.nf_log.2=nfnetlink_log"); err != nil {
			t.Fatal(err)
		}
		index := func(dev string) (n uint32) {
			out, err := bridge.Run("", "ip", "-o", "link", "show", dev)
			if err == nil {
				_, err = fmt.Sscanf(out, "%d:", &n)
			}
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		send(t)
		n := 0
		err = log.Drain(func(p *capture.Logged) error {
			n++
			if p.In != index("br0") || p.PhysIn != index("pa") || p.Out != 0 || p.PhysOut != 0 {
				t.Errorf("in %d, out %d, ports %d %d; br0 is %d, pa %d", p.In, p.Out, p.PhysIn, p.PhysOut, index("br0"), index("pa"))
			}
			return nil
		})
		if err != nil || n != 1 {
			t.Errorf("%d logged: %v", n, err)
		}
	})

	t.Run("line", func(t *testing.T) {
		kmsg, err := capture.OpenKmsg(false)
		if err != nil {
			lab.LeaveOut(t, err)
		}
		defer kmsg.Close()
		if err := bridge.Sysctl("net.netfilter.nf_log.2=nf_log_ipv4"); err != nil {
			t.Fatal(err)
		}
		restore := lab.Global(t, "net.netfilter.nf_log_all_netns=1")
		send(t)
		lines, err := linesNow(kmsg)
		restore()
		lines = slices.DeleteFunc(lines, func(m invalid.Message) bool { return string(m.In) != "br0" })
		if err != nil || len(lines) != 1 {
			t.Fatalf("%d lines in the kernel's log: %v", len(lines), err)
		}
		if m := lines[0]; string(m.PhysIn) != "pa" || len(m.Out) != 0 || m.Rest != nil || m.Reason.Name != "invalid-new" {
			t.Errorf("%+v", m)
		}
	})
}
