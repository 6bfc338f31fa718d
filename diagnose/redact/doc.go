// Package redact hides the addresses and names of a snapshot, and keeps what
// rules say of it: the redacted snapshot gets the same verdicts.
//
// Addresses go through a keyed permutation that preserves prefixes: two
// addresses that share their first n bits share n bits afterwards. Each class
// (private blocks, CGNAT, loopback, link-local, multicast, documentation,
// public) stays itself. Where rules look at more of an address than its
// prefixes, Constraints says which bits have to stay.
package redact

import (
	"net/netip"

	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/rules"
)

// Key is what a redaction hangs on: who has it can undo it.
type Key [32]byte

// Kind is what a name is of.
type Kind uint8

const (
	Device    Kind = iota // a network device
	Hostname              // a machine
	Namespace             // a network namespace, by name or path
	Table                 // an nf_tables table
	Chain                 // a chain of either backend
	SetName               // a set, a map, an ipset, a list of xt_recent
	Object                // a named object, a flowtable, an account of xt_nfacct
	Comment               // of a rule, set, element, …
	LogPrefix
	Helper
	Secctx // a security context, a secmark
	Cgroup // a path of cgroups
	Path   // of a file
	Program
	Word // anything else
)

// Constraints are what of the addresses has to stay so that rules still mean
// the same. They cost secrecy: what stays is listed by Mapper.Kept.
type Constraints struct{}

// Range keeps the addresses from lo to hi, both included, one range.
func (c *Constraints) Range(lo, hi netip.Addr, why string) {}

// Bits keeps the bits of every address that are set in mask: a rule compares
// them whatever stands before.
func (c *Constraints) Bits(mask netip.Addr, why string) {}

// HostPart makes what follows the first n bits map alike under every prefix: a
// rule carries it from one network to another (netmap).
func (c *Constraints) HostPart(f rules.Family, n int, why string) {}

// Pin keeps one address as it is.
func (c *Constraints) Pin(a netip.Addr, why string) {}

// DevicePrefix keeps names that begin with p names that begin alike (eth*).
func (c *Constraints) DevicePrefix(p string) {}

// Mapper redacts. It is for one goroutine.
type Mapper struct{}

// New makes a Mapper. The same key and constraints map alike.
func New(key Key, c *Constraints) *Mapper { return &Mapper{} }

// Addr maps an address; the zone of an IPv6 one is a device's name.
func (m *Mapper) Addr(a netip.Addr) netip.Addr { return a }

// Network maps a prefix; what follows its length is 0 as before.
func (m *Mapper) Network(p netip.Prefix) netip.Prefix { return p }

// HostIn maps an address that is written with the length of its subnet.
func (m *Mapper) HostIn(p netip.Prefix) netip.Prefix { return p }

// Bytes maps n bits of an address (of 4 or 16 bytes; fewer are its beginning)
// in place, as rules hold them.
func (m *Mapper) Bytes(f rules.Family, b []byte) {}

// MAC maps a hardware address; a shorter one is its beginning.
func (m *Mapper) MAC(b []byte) {}

// Name is the token of a name; well-known words stay.
func (m *Mapper) Name(k Kind, s string) string { return s }

// Text maps every address, hardware address and known name in free text.
func (m *Mapper) Text(s string) string { return s }

// LogLine maps one line of the kernel's log.
func (m *Mapper) LogLine(s string) string { return s }

// IptablesRule maps a rule, or a part of one, in the syntax of iptables-save.
func (m *Mapper) IptablesRule(s string) string { return s }

// Flow maps an entry in place.
func (m *Mapper) Flow(f *host.Flow) {}

// Tuple maps one tuple.
func (m *Mapper) Tuple(t rules.Tuple) rules.Tuple { return t }
