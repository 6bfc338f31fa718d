package host

import "github.com/ntdiag/ntdiag/rules"

// Place tells a network namespace of one boot from all others. What is zero is
// not known.
type Place struct {
	BootID string `json:"boot_id,omitempty"` // /proc/sys/kernel/random/boot_id
	// Inode is that of the namespace's file; the kernel gives it to another one
	// later.
	Inode uint64 `json:"netns_inode,omitempty"`
	// Cookie is SO_NETNS_COOKIE (5.14), which no two namespaces of a boot share.
	Cookie uint64 `json:"netns_cookie,omitempty"`
}

// Same tells whether p and o are one place; where not, why says in which way.
func (p Place) Same(o Place) (same rules.Truth, why string) {
	switch {
	case p.BootID != "" && o.BootID != "" && p.BootID != o.BootID:
		return rules.No, "another boot, or another machine"
	case p.Cookie != 0 && o.Cookie != 0 && p.Cookie != o.Cookie,
		p.Inode != 0 && o.Inode != 0 && p.Inode != o.Inode:
		return rules.No, "another network namespace"
	case p.BootID == "" || o.BootID == "" || p.Cookie == 0 || o.Cookie == 0:
		return rules.Unknown, "not told by this kernel"
	}
	return rules.Yes, ""
}
