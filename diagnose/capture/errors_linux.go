package capture

import (
	"errors"

	"golang.org/x/sys/unix"
)

// reason is what an errno means for one kind of operation.
type reason struct {
	errno unix.Errno
	why   string
}

// explainErr words err by the first row that fits it.
func explainErr(what string, err error, rows []reason) error {
	var done *OpError
	if errors.As(err, &done) {
		return err
	}
	for _, r := range rows {
		if errors.Is(err, r.errno) {
			return &OpError{What: what, Why: r.why, Err: err}
		}
	}
	return &OpError{What: what, Why: err.Error(), Err: err}
}

// whyOf is the reason alone.
func whyOf(err error) string {
	var op *OpError
	if errors.As(err, &op) {
		return op.Why
	}
	return err.Error()
}

// netlinkReasons words what nfnetlink answers; module is what serves the
// request. EINVAL is its word for a subsystem that is not there
// (nfnetlink_rcv_msg).
func netlinkReasons(module string) []reason {
	absent := "protocol not supported (" + module + " is not loaded)"
	return []reason{
		{unix.EPERM, "permission denied (needs CAP_NET_ADMIN)"},
		{unix.EACCES, "permission denied"},
		{unix.EPROTONOSUPPORT, absent},
		{unix.EOPNOTSUPP, absent},
		{unix.EINVAL, absent},
		{unix.ENOBUFS, "the kernel had no buffer space left"},
	}
}
