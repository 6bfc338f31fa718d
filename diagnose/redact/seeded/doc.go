// Package seeded makes, for tests, a network namespace that holds names and
// addresses wherever one can stand, and tells in which forms a file could hold
// them.
package seeded
