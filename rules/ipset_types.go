package rules

import "strings"

// ipsetField is what one dimension of a set's type takes from the packet.
type ipsetField uint8

const (
	ipsetIP    ipsetField = iota // an address
	ipsetNet                     // an address, looked up as each prefix length in the set
	ipsetPort                    // protocol and port, or ICMP type and code
	ipsetMAC                     // an address of the Ethernet header
	ipsetMark                    // the packet's mark, whatever the direction
	ipsetIface                   // the name of the input or output device
	ipsetList                    // other sets, asked one after the other
)

// ipsetType is one row a type that the kernel registers (struct ip_set_type).
type ipsetType struct {
	name   string
	fields []ipsetField
	// masksFirst: `ipset save` has netmask and bitmask before the extensions.
	masksFirst bool
}

var ipsetTypes = [...]ipsetType{
	{name: "bitmap:ip", fields: []ipsetField{ipsetIP}, masksFirst: true},
	{name: "bitmap:ip,mac", fields: []ipsetField{ipsetIP, ipsetMAC}},
	{name: "bitmap:port", fields: []ipsetField{ipsetPort}},
	{name: "hash:ip", fields: []ipsetField{ipsetIP}, masksFirst: true},
	{name: "hash:mac", fields: []ipsetField{ipsetMAC}},
	{name: "hash:ip,mac", fields: []ipsetField{ipsetIP, ipsetMAC}},
	{name: "hash:ip,mark", fields: []ipsetField{ipsetIP, ipsetMark}},
	{name: "hash:ip,port", fields: []ipsetField{ipsetIP, ipsetPort}},
	{name: "hash:ip,port,ip", fields: []ipsetField{ipsetIP, ipsetPort, ipsetIP}},
	{name: "hash:ip,port,net", fields: []ipsetField{ipsetIP, ipsetPort, ipsetNet}},
	{name: "hash:net", fields: []ipsetField{ipsetNet}},
	{name: "hash:net,net", fields: []ipsetField{ipsetNet, ipsetNet}},
	{name: "hash:net,port", fields: []ipsetField{ipsetNet, ipsetPort}},
	{name: "hash:net,port,net", fields: []ipsetField{ipsetNet, ipsetPort, ipsetNet}},
	{name: "hash:net,iface", fields: []ipsetField{ipsetNet, ipsetIface}},
	{name: "list:set", fields: []ipsetField{ipsetList}},
}

func (s *IPSet) row() *ipsetType {
	for i := range ipsetTypes {
		if ipsetTypes[i].name == s.Type {
			return &ipsetTypes[i]
		}
	}
	return nil
}

// Known tells whether the set's type is one of those that the kernel has had.
func (s *IPSet) Known() bool { return s.row() != nil }

// bitmap types number their elements by id.
func (s *IPSet) bitmap() bool { return strings.HasPrefix(s.Type, "bitmap:") }

// has tells whether one of the type's dimensions is f.
func (t *ipsetType) has(f ipsetField) bool {
	for _, g := range t.fields {
		if g == f {
			return true
		}
	}
	return false
}
