package capture

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// word says what an errno of a change means; sentinel is what the caller can
// test for, nil for none.
func word(what string, err, sentinel error, rows []reason) error {
	switch {
	case err == nil:
		return nil
	case sentinel != nil:
		return &OpError{What: what, Why: sentinel.Error(), Err: errors.Join(sentinel, err)}
	}
	return explainErr(what, err, append(rows, netlinkReasons(ctModule)...))
}

// wordKey words what answers a tuple, a zone and an id.
func wordKey(what string, err error) error {
	var sentinel error
	if errors.Is(err, unix.ENOENT) {
		sentinel = ErrNotFound
	}
	return word(what, err, sentinel, []reason{
		{unix.EINVAL, "the kernel refused the tuple"},
		{unix.EOPNOTSUPP, "this kernel has no conntrack zones"},
	})
}

// wordInsert words what ctnetlink_create_conntrack answers.
func wordInsert(what string, err error, f *host.Flow) error {
	var sentinel error
	if errors.Is(err, unix.EEXIST) {
		sentinel = ErrExists
	}
	unsupported := "this kernel has no NAT"
	switch {
	case f.Helper != "":
		unsupported = fmt.Sprintf("this kernel has no helper %q for this protocol", f.Helper)
	case f.Status&natDone == 0:
		unsupported = "this kernel has no conntrack zones"
	}
	return word(what, err, sentinel, []reason{
		{unix.ENOENT, "its master is not in the table"},
		{unix.EOPNOTSUPP, unsupported},
		{unix.ENOMEM, "no memory, or the table is full (nf_conntrack_max)"},
		{unix.ENOSPC, "too many entries hash alike (raise nf_conntrack_buckets)"},
		{unix.EBUSY, "the kernel refused the status"},
		{unix.ERANGE, "the kernel refused a value: out of range"},
		{unix.EINVAL, "the kernel refused a value"},
	})
}

// wordUpdate words what ctnetlink_change_conntrack answers.
func wordUpdate(what string, err error, f *host.Flow) error {
	var sentinel error
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ETIME):
		sentinel = ErrNotFound
	case errors.Is(err, unix.EPERM) && f.Status.Has(host.StatusFixedTimeout):
		// not a capability that is missing
		return &OpError{What: what, Why: errFixed.Error(), Err: errFixed}
	}
	return word(what, err, sentinel, []reason{
		{unix.ENOSPC, "no room for labels: no rule here uses them"},
		{unix.EBUSY, "the kernel refused the status"},
		{unix.EINVAL, "the kernel refused a value"},
		{unix.EOPNOTSUPP, "this kernel does not let it be changed"},
	})
}

var errFixed = errors.New("its timeout is fixed")

// unloaded refuses what would make the kernel load a module.
func unloaded(f *host.Flow) error {
	if f.Status&natDone != 0 && wouldLoad("nf_nat") {
		return errors.New("nf_nat is not loaded")
	}
	if module, ok := helperModule(f.Helper); ok && wouldLoad(module) {
		return fmt.Errorf("helper %q: %s is not loaded", f.Helper, module)
	}
	return nil
}
