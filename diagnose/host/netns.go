package host

// NetnsID tells network namespaces apart.
type NetnsID struct {
	Boot string `json:"boot"` // /proc/sys/kernel/random/boot_id
	// Cookie is SO_NETNS_COOKIE: never given twice between two boots, and 1 for
	// the initial namespace; 0 on kernels before 5.14.
	Cookie uint64 `json:"cookie,omitempty"`
	Inode  uint64 `json:"inode"` // of /proc/self/ns/net
}

// initialCookie is the cookie of init_net, which is the first that is made.
const initialCookie = 1

// Same tells whether two are one namespace. The initial namespace is taken for
// one across boots.
func (n NetnsID) Same(o NetnsID) bool {
	if n.Cookie == initialCookie && o.Cookie == initialCookie {
		return true
	}
	return n == o
}
