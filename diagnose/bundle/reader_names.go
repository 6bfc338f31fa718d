package bundle

import (
	"archive/tar"
	"fmt"
	"path"
	"strings"
)

// namer checks what the headers say.
type namer struct {
	top  string // directory that all is in, "" for none
	set  bool
	last string
}

// header is the name of a member as bundles have it, "" for a directory.
func (n *namer) header(h *tar.Header) (string, error) {
	n.last = fmt.Sprintf("%.200q", h.Name)
	if what, bad := refused[h.Typeflag]; bad {
		return "", fmt.Errorf("%s: is %s: a bundle has plain files only", n.last, what)
	}
	if h.Typeflag != tar.TypeReg && h.Typeflag != tar.TypeDir {
		return "", fmt.Errorf("%s: is of type %q: a bundle has plain files only", n.last, h.Typeflag)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return "", fmt.Errorf("%s: is a sparse file: a bundle has plain files only", n.last)
		}
	}
	name := strings.TrimPrefix(h.Name, "./")
	if h.Typeflag == tar.TypeDir {
		name = strings.TrimSuffix(name, "/")
		if name == "" || name == "." {
			return "", nil
		}
		return "", checkPath(name)
	}
	if err := checkPath(name); err != nil {
		return "", err
	}
	if !n.set {
		n.set = true
		if first, rest, ok := strings.Cut(name, "/"); ok && kindOf(name) == nil && kindOf(rest) != nil {
			n.top = first + "/"
		}
	}
	rest, ok := strings.CutPrefix(name, n.top)
	if !ok {
		return "", fmt.Errorf("%.200q: is not in %.200q as the others", name, n.top)
	}
	n.last = rest
	return rest, nil
}

var refused = map[byte]string{
	tar.TypeLink: "a hard link", tar.TypeSymlink: "a symbolic link", tar.TypeChar: "a device", tar.TypeBlock: "a device",
	tar.TypeFifo: "a named pipe", tar.TypeGNUSparse: "a sparse file", tar.TypeCont: "a contiguous file",
}

// checkPath refuses names that lead elsewhere on any system.
func checkPath(name string) error {
	switch {
	case len(name) > maxName:
		return fmt.Errorf("%.60q…: a name of %d bytes", name, len(name))
	case strings.HasPrefix(name, "/"), strings.ContainsAny(name, "\\:\x00"), path.Clean("/"+name) != "/"+name:
		return fmt.Errorf("%q: the name leads elsewhere", name)
	}
	return nil
}
