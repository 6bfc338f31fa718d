package capture

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// Sysctl reads one setting of the namespace: key with dots, below net.
func (l *Live) Sysctl(key string) host.Fact[string] {
	path, err := netSysctl(key)
	if err != nil {
		return host.Absent[string](err.Error())
	}
	var out host.Fact[string]
	if err := l.ns.do(func() { out = readSysctl(path) }); err != nil {
		return host.Absent[string](err.Error())
	}
	return out
}

// SetSysctl writes one setting of the namespace: key with dots, below net.
// Settings that the kernel has once for all namespaces are written as well,
// where it has them in this one: the caller looks at the key.
func (l *Live) SetSysctl(key, value string) error {
	path, err := netSysctl(key)
	if err != nil {
		return &OpError{What: "sysctl " + key, Why: err.Error(), Err: err}
	}
	closed := l.ns.do(func() { err = writeSysctl(path, value) })
	if err = errors.Join(closed, err); err != nil {
		return wordSysctl(key, value, err)
	}
	return nil
}

// netSysctl is the file of a key, which must lie below /proc/sys/net: only that
// is the namespace's own.
func netSysctl(key string) (string, error) {
	words := strings.Split(key, ".")
	if len(words) < 2 || words[0] != "net" {
		return "", fmt.Errorf("%q is not a key below net", key)
	}
	for _, w := range words {
		if w == "" || strings.ContainsAny(w, "/\x00") {
			return "", fmt.Errorf("%q is not a key", key)
		}
	}
	return sysctlPath(key), nil
}

// writeSysctl writes a value in one piece: the kernel takes no other.
func writeSysctl(path, value string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// wordSysctl says what an errno means for a setting.
func wordSysctl(key, value string, err error) error {
	rows := []reason{
		{unix.ENOENT, host.NotThere},
		{unix.EINVAL, fmt.Sprintf("the kernel refused the value %q", value)},
		{unix.ERANGE, fmt.Sprintf("the kernel refused the value %q", value)},
		{unix.EACCES, "permission denied (needs root of this network namespace)"},
		{unix.EPERM, "permission denied (needs root of this network namespace)"},
		{unix.EROFS, "/proc/sys is mounted read-only, as in a container"},
	}
	var path *fs.PathError
	if errors.As(err, &path) && path.Op == "write" && errors.Is(err, unix.ENOENT) {
		// nf_log_proc_dostring: no logger has the name
		rows[0].why = fmt.Sprintf("no logger %q is registered: its module is not loaded", value)
	}
	return explainErr("sysctl "+key, err, rows)
}
