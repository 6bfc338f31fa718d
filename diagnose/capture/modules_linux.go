package capture

import (
	"bytes"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// wouldLoad tells whether asking the kernel for the subsystem that module
// serves would make it load that module (nfnetlink_rcv_msg requests it): it is
// not there, and the machine has it to load.
func wouldLoad(module string) bool {
	if _, err := os.Stat("/sys/module/" + module); err == nil {
		return false
	}
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	dir := filepath.Join("/lib/modules", string(cstr(u.Release[:])))
	dep, err := os.ReadFile(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return false
	}
	return bytes.Contains(dep, []byte("/"+module+".ko"))
}

// helperModule is the module that the kernel would ask for a conntrack helper
// (MODULE_ALIAS_NFCT_HELPER), false where the machine has none.
func helperModule(helper string) (string, bool) {
	var u unix.Utsname
	if helper == "" || unix.Uname(&u) != nil {
		return "", false
	}
	b, err := os.ReadFile(filepath.Join("/lib/modules", string(cstr(u.Release[:])), "modules.alias"))
	if err != nil {
		return "", false
	}
	for line := range bytes.Lines(b) {
		if w := bytes.Fields(line); len(w) == 3 && string(w[1]) == "nfct-helper-"+helper {
			return string(w[2]), true
		}
	}
	return "", false
}
