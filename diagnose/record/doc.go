// Package record follows what changes in a network namespace and keeps it in a
// store of package history.
package record
