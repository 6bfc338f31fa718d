package capture

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

const (
	ipsetModule = "ip_set"
	ipsetWhat   = "ipsets"
)

// Message types of ipset: the subsystem, then IPSET_CMD_*.
const (
	ipsetSubsys      = 6 << 8
	ipsetCmdProtocol = ipsetSubsys | 1
	ipsetCmdList     = ipsetSubsys | 7
)

// IPSET_PROTOCOL and IPSET_PROTOCOL_MIN: since 7 (4.20) a listing has indexes.
const (
	ipsetProtocolNow = 7
	ipsetProtocolOld = 6
)

// ipsets reads every ipset. Listing loads no module: types are loaded only
// for sets that are made (find_set_type).
func (l *Live) ipsets(ctx context.Context) ([]*rules.IPSet, []host.Missing) {
	if wouldLoad(ipsetModule) {
		return nil, nil // not loaded: there is no set
	}
	return l.ipsetsAs(ctx, ipsetProtocolNow)
}

// ipsetsAs reads with a protocol no newer than newest.
func (l *Live) ipsetsAs(ctx context.Context, newest uint8) ([]*rules.IPSet, []host.Missing) {
	miss := func(err error) []host.Missing {
		err = explainErr(ipsetWhat, err, netlinkReasons(ipsetModule))
		return []host.Missing{{What: ipsetWhat, Why: whyOf(err)}}
	}
	c, err := l.ns.dial(unix.NETLINK_NETFILTER)
	if err != nil {
		return nil, miss(err)
	}
	defer c.close()
	buf := make([]byte, nftBuffer)
	protocol, err := ipsetNegotiate(ctx, c, buf)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil, nil // a kernel without ipset
	}
	if err != nil {
		return nil, miss(err)
	}
	protocol = min(protocol, newest)
	p, missing, err := ipsetDump(ctx, c, buf, protocol)
	if err == nil && protocol < ipsetProtocolNow {
		err = l.ipsetIndexes(p.Sets)
	}
	if err != nil {
		missing = append(missing, miss(err)...)
	}
	return p.Sets, missing
}

// ipsetNegotiate is the newest protocol that both sides know. Kernels before
// 4.20 know one, and do not tell IPSET_ATTR_PROTOCOL_MIN.
func ipsetNegotiate(ctx context.Context, c *conn, buf []byte) (uint8, error) {
	var w builder
	w.u8(ipsetProtocol, ipsetProtocolNow)
	b, err := c.ask(ctx, ipsetCmdProtocol, nfgen(unix.AF_INET, w.b), buf)
	if err != nil {
		return 0, err
	}
	var newest, oldest uint8
	if len(b) < 4 {
		return 0, badAttr("ipset protocol")
	}
	for a := (attrs{b: b[4:]}); a.next(); {
		switch a.typ {
		case ipsetProtocol:
			newest, _ = u8(a.val)
		case ipsetProtocolMin:
			oldest, _ = u8(a.val)
		}
	}
	if newest < ipsetProtocolOld || oldest > ipsetProtocolNow {
		return 0, fmt.Errorf("the kernel speaks protocols %d to %d of ipset, not %d", oldest, newest, ipsetProtocolNow)
	}
	return min(newest, ipsetProtocolNow), nil
}

// ipsetDump lists all sets with their elements.
func ipsetDump(ctx context.Context, c *conn, buf []byte, protocol uint8) (*IPSetParser, []host.Missing, error) {
	var w builder
	w.u8(ipsetProtocol, protocol)
	p := &IPSetParser{}
	refused := 0
	var first error
	_, err := c.dump(ctx, ipsetCmdList, nfgen(unix.AF_INET, w.b), buf, func(m message) error {
		if len(m.payload) < 4 {
			return nil
		}
		if err := p.Add(m.payload[4:]); err != nil {
			if refused++; first == nil {
				first = err
			}
		}
		return nil
	})
	var missing []host.Missing
	if refused > 0 {
		missing = append(missing, host.Missing{What: ipsetWhat, Why: fmt.Sprintf("%d messages could not be read: %v", refused, first)})
	}
	for _, s := range p.Sets {
		if !s.Known() {
			missing = append(missing, host.Missing{What: "ipset " + s.Name, Why: s.Missing})
		}
	}
	if err != nil && len(p.Sets) > 0 {
		// the listing broke off inside the last set
		p.Sets[len(p.Sets)-1].Missing = "the listing broke off: " + err.Error()
	}
	return p, missing, err
}

// Of getsockopt SO_IP_SET: IP_SET_OP_GET_BYNAME, and struct
// ip_set_req_get_set, of op, version and a union of name and index.
const (
	soIPSet          = 83
	ipsetOpGetByname = 6
	ipsetReqSize     = 8 + 32
)

// ipsetIndexes asks for the index of each set as iptables does, for kernels
// whose listing does not tell it.
func (l *Live) ipsetIndexes(sets []*rules.IPSet) (err error) {
	closed := l.ns.do(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		for _, s := range sets {
			var req [ipsetReqSize]byte
			ne.PutUint32(req[:], ipsetOpGetByname)
			ne.PutUint32(req[4:], ipsetProtocolOld)
			copy(req[8:ipsetReqSize-1], s.Name)
			if err = getsockopt(fd, unix.SOL_IP, soIPSet, req[:]); err != nil {
				return
			}
			s.ID = ne.Uint16(req[8:])
		}
	})
	return errors.Join(closed, err)
}
