// Package history is who changed what, and when: differences of two rulesets
// and of two states of a host's addresses, links and routes, a store that keeps
// them, and what they say of the cause of a flow that is out of date.
//
// It reads no kernel: states come from package capture, and package record
// brings both together.
package history
