package redact

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	"github.com/ntdiag/ntdiag/rules"
)

// constraintsFile is Constraints in a key file.
type constraintsFile struct {
	Ranges   []spanEntry  `json:"ranges,omitempty"`
	Masks    []maskEntry  `json:"masks,omitempty"`
	Hosts    []hostEntry  `json:"host_parts,omitempty"`
	Networks []blockEntry `json:"networks,omitempty"`
	Subnets  []blockEntry `json:"subnets,omitempty"`
	Devices  []string     `json:"device_prefixes,omitempty"`
}

type spanEntry struct {
	First netip.Addr `json:"first"`
	Last  netip.Addr `json:"last"`
	Why   string     `json:"why"`
}

type maskEntry struct {
	Mask netip.Addr `json:"mask"`
	Why  string     `json:"why"`
}

type hostEntry struct {
	Family rules.Family `json:"family"` // NFPROTO_IPV4 or NFPROTO_IPV6
	Bits   int          `json:"bits"`
	Why    string       `json:"why"`
}

type blockEntry struct {
	Network netip.Prefix `json:"network"`
	Why     string       `json:"why"`
}

// MarshalJSON writes all that is asked for, in a fixed order.
func (c *Constraints) MarshalJSON() ([]byte, error) {
	var f constraintsFile
	for _, s := range sortedKeys(c.ranges, func(a, b span) int { return cmp.Or(a.lo.Compare(b.lo), a.hi.Compare(b.hi)) }) {
		f.Ranges = append(f.Ranges, spanEntry{s.lo, s.hi, c.ranges[s]})
	}
	for _, a := range sortedKeys(c.masks, netip.Addr.Compare) {
		f.Masks = append(f.Masks, maskEntry{a, c.masks[a]})
	}
	for _, h := range sortedKeys(c.hosts, compareHosts) {
		f.Hosts = append(f.Hosts, hostEntry{h.family, h.bits, c.hosts[h]})
	}
	for _, p := range sortedKeys(c.blocks, netip.Prefix.Compare) {
		f.Networks = append(f.Networks, blockEntry{p, c.blocks[p]})
	}
	for _, p := range sortedKeys(c.subnets, netip.Prefix.Compare) {
		f.Subnets = append(f.Subnets, blockEntry{p, c.subnets[p]})
	}
	f.Devices = sortedKeys(c.devices, strings.Compare)
	return json.Marshal(f)
}

func compareHosts(a, b hostPart) int {
	return cmp.Or(cmp.Compare(a.family, b.family), cmp.Compare(a.bits, b.bits))
}

// UnmarshalJSON reads what MarshalJSON wrote. What asks for nothing is an error.
func (c *Constraints) UnmarshalJSON(text []byte) error {
	var f constraintsFile
	if err := json.Unmarshal(text, &f); err != nil {
		return err
	}
	*c = Constraints{}
	for _, r := range f.Ranges {
		c.Range(r.First, r.Last, r.Why)
	}
	for _, m := range f.Masks {
		c.Bits(m.Mask, m.Why)
	}
	for _, h := range f.Hosts {
		c.HostPart(h.Family, h.Bits, h.Why)
	}
	for _, n := range f.Networks {
		c.Keep(n.Network, n.Why)
	}
	for _, n := range f.Subnets {
		c.Subnet(n.Network, n.Why)
	}
	for _, d := range f.Devices {
		c.DevicePrefix(d)
	}
	if want := len(f.Ranges) + len(f.Masks) + len(f.Hosts) + len(f.Networks) + len(f.Subnets) + len(f.Devices); c.size() != want {
		return fmt.Errorf("constraints: %d of %d make sense", c.size(), want)
	}
	return nil
}

// size is how much is asked for.
func (c *Constraints) size() int {
	return len(c.ranges) + len(c.masks) + len(c.hosts) + len(c.blocks) + len(c.subnets) + len(c.devices)
}
