// Package scale makes what a busy node of a cluster has: rules as kube-proxy
// writes them, by the ten thousand, and flows of theirs by the million, of
// which it says what is true of each. It is pure data; package lab puts it into
// a kernel.
package scale

import (
	"encoding/binary"
	"net/netip"
)

// Cluster is how many services there are; each has Endpoints endpoints.
type Cluster struct{ Services int }

// Endpoints of each service.
const Endpoints = 3

// minServices keeps ports apart: few endpoints would need more flows each than
// there are ports.
const minServices = 8

// The network of the node: pods behind one device, all else behind another.
var (
	PodNet     = netip.MustParsePrefix("10.244.0.0/16")
	PodGateway = netip.MustParseAddr("10.244.0.1")
	NodeAddr   = netip.MustParseAddr("192.0.2.2")
	NodeNet    = netip.MustParsePrefix("192.0.2.0/24")
	Gateway    = netip.MustParseAddr("192.0.2.1")
)

// Devices of the node.
const (
	PodDevice    = "cni0"
	UplinkDevice = "eth0"
)

// Ports of every service, and of its endpoints.
const (
	ServicePort  = 80
	EndpointPort = 8080
)

// Service is the address of service i, up to 65,536 of them.
func Service(i int) netip.Addr { return offset(0x0a600000, i) } // 10.96.0.0/16

// Endpoint is the address of endpoint e of service i, of 32,768 in all.
func Endpoint(i, e int) netip.Addr { return offset(0x0af40000, 256+(i*Endpoints+e)%0x7e00) } // 10.244.1.0 on

// pod is the address of a pod that is a client, up to 32,000 of them.
func pod(i int) netip.Addr { return offset(0x0af48000, i) } // 10.244.128.0/17

// gone is an address that was an endpoint, or a service, and is none now.
func goneEndpoint(i int) netip.Addr { return offset(0x0af47f00, i%200) } // 10.244.127.0/24
func goneService(i int) netip.Addr  { return offset(0x0a610000, i%60000) }

// client and site are addresses of the outside.
func client(i int) netip.Addr { return offset(0xc6120000, i) } // 198.18.0.0/15
func site(i int) netip.Addr   { return offset(0x5db80000, i) } // 93.184.0.0/16

func offset(base uint32, i int) netip.Addr {
	return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, base+uint32(i))))
}
