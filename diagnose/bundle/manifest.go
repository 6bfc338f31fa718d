package bundle

import (
	"time"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Schema names the manifest as other documents are named.
const Schema = "ntdiag.bundle/1"

// Manifest is manifest.json, the last member: what the bundle is of, how it
// was asked for, and what it does not hold. Fields are added freely; what is
// there keeps its meaning within a format.
type Manifest struct {
	Schema  string    `json:"schema"` // Schema
	Format  int       `json:"format"`
	Tool    string    `json:"tool"`    // what wrote it: "ntdiag"
	Version string    `json:"version"` // of the tool
	Created time.Time `json:"created"`
	Machine Machine   `json:"machine"`
	Asked   Asked     `json:"asked"`
	// Redaction is nil where nothing was hidden.
	Redaction  *Redaction     `json:"redaction"`
	Namespaces []Namespace    `json:"namespaces"`
	Missing    []host.Missing `json:"missing"` // of no namespace
	Truncated  []Truncated    `json:"truncated"`
	Members    []Member       `json:"members"` // in their order, all but the manifest
}

// Machine is what the namespaces share.
type Machine struct {
	Hostname  string `json:"hostname"`
	Kernel    string `json:"kernel"`     // the release, as uname -r
	Arch      string `json:"arch"`       // as uname -m
	ByteOrder string `json:"byte_order"` // "little" or "big"
}

// Asked is the command line, and the bound of the file.
type Asked struct {
	Command  []string `json:"command,omitempty"`
	MaxBytes int64    `json:"max_bytes"`
}

// Redaction tells what became of addresses and names.
type Redaction struct {
	// Mapping is the same in two bundles that were redacted with one key. It
	// does not tell the key.
	Mapping string `json:"mapping"`
	// Kept is what stayed as it is, or partly, and why.
	Kept []Kept `json:"kept"`
}

// Kept is one thing that redaction did not hide.
type Kept struct {
	What string `json:"what"`
	Why  string `json:"why"`
}

// Namespace is one directory of the bundle.
type Namespace struct {
	Dir     string         `json:"dir"`            // "netns-0"
	Name    string         `json:"name"`           // as ip netns has it; "" for the one of the command
	Path    string         `json:"path,omitempty"` // of its file
	Place   host.Place     `json:"place"`
	Rounds  []Round        `json:"rounds"`
	Missing []host.Missing `json:"missing"`
}

// Round is one reading of the conntrack table: flows-1, flows-2.
type Round struct {
	Round int       `json:"round"`
	At    time.Time `json:"at"`
	Seen  uint64    `json:"seen"` // entries that the table had
	Kept  uint64    `json:"kept"` // of them in the bundle
	// Unparsed entries could not be read; Why is the first reason.
	Unparsed int    `json:"unparsed,omitempty"`
	Why      string `json:"why,omitempty"`
	// Resized are the buckets of the hash table before and after, where it was
	// resized while it was read.
	Resized []uint64 `json:"resized,omitempty"`
	// Strata are those of which something was left out, the most first;
	// Further is the sum of those that are not listed.
	Strata  []Stratum `json:"strata,omitempty"`
	Further *Stratum  `json:"further,omitempty"`
}

// Stratum is the flows that are rewritten alike.
type Stratum struct {
	Name string `json:"name"`
	Seen uint64 `json:"seen"`
	Kept uint64 `json:"kept"`
}

// Truncated is what was cut to keep the file within its size.
type Truncated struct {
	Member  string `json:"member"`
	What    string `json:"what"` // "lines", "log records", …
	Kept    uint64 `json:"kept"`
	LeftOut uint64 `json:"left_out"`
	Why     string `json:"why"`
}

// Member is one file of the archive.
type Member struct {
	Name    string `json:"name"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"`            // hexadecimal
	Records uint64 `json:"records,omitempty"` // flows
}

// formatDoc is format.json, the first member.
type formatDoc struct {
	Schema  string `json:"schema"`
	Format  int    `json:"format"`
	Tool    string `json:"tool"`
	Version string `json:"version"`
}
