// Package lab builds small networks out of network namespaces of its own, for
// the demonstration and for the tests that ask the kernel: hosts, the links
// between them, NAT rules, real traffic, and the kernel's own trace of it.
//
//	client 10.0.0.10/24 ── c0 10.0.0.1  router  192.168.1.2 s0 ── 192.168.1.80/24 server
//	       fd00:a::10/64      fd00:a::1          fd00:b::2         fd00:b::80/64
//
// Typical has hosts that answer everything; those of Quiet answer nothing, and
// what they are to send is put on the wire as a test describes it (Packet, Wire,
// Emit, Tap, Hold).
//
// Nothing is done to the namespace that a process was started in. Without
// root it works inside a user namespace, see Main and Reexec.
package lab
