package host

// NetnsID tells network namespaces apart.
type NetnsID struct {
	Boot string `json:"boot"` // /proc/sys/kernel/random/boot_id
	// Cookie is SO_NETNS_COOKIE: never given twice between two boots; 0 on kernels
	// before 5.14.
	Cookie uint64 `json:"cookie,omitempty"`
	Inode  uint64 `json:"inode"` // of /proc/self/ns/net
}

const (
	// initialInode is NET_NS_INIT_INO (include/uapi/linux/nsfs.h, 6.18), below all
	// that are given as they come.
	initialInode = 0xEFFFFFF9
	// initialCookie is the cookie of init_net before 6.18, where it is the first
	// that is given. From then on all kinds of namespaces share the numbers:
	// another kind has this one.
	initialCookie = 1
)

// Initial tells whether it is init_net. False means that it is not, but for a
// kernel before 5.14, which does not tell (Cookie is 0).
func (n NetnsID) Initial() bool { return n.Inode == initialInode || n.Cookie == initialCookie }

// Initial is NetnsID.Initial.
func (p Place) Initial() bool { return NetnsID{Cookie: p.Cookie, Inode: p.Inode}.Initial() }

// Same tells whether two are one namespace. The initial namespace is taken for
// one across boots.
func (n NetnsID) Same(o NetnsID) bool {
	if n.Initial() && o.Initial() {
		return true
	}
	return n == o
}
