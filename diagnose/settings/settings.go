// Package settings holds settings of a network namespace for a while, and puts
// back what was there: when it is told to, or in the next run when this one was
// killed.
//
// What a setting was is written to a file before it is changed, one file a
// setting of one namespace, and whoever needs the setting holds a lock on the
// file. The last to leave puts the value back and removes the file. A file that
// nobody holds is that of a run that was killed. Locks end with their process,
// whatever ends it.
//
// What loses nothing on the way, and leaves nothing behind:
//
//	n, err := live.NFLog(0)                                  // packets wait from here on
//	defer n.Close()
//	held, err := settings.Hold("", live, settings.ToNFLog(255)) // loggers, then log_invalid
//	defer held.Restore()                                     // before Close, also in a panic
//	err = n.Run(ctx, take)
//	changes, err := held.Restore()                           // log_invalid, then loggers
//	err = n.Drain(take)                                      // what came until then
package settings

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/capture"
)

// keys are the settings that may be held. Each is of one namespace: what the
// kernel has once for all of them is never touched.
var keys = []string{
	capture.KeyLoggerIPv4, // nf_log_proc_dostring, net->nf.nf_loggers
	capture.KeyLoggerIPv6,
	capture.KeyLoggerBr,
	capture.KeyLogInvalid, // net->ct.sysctl_log_invalid
}

// Setting is a value that is wanted for a while, as the kernel shows it.
type Setting struct{ Key, Value string }

// ToNFLog are the settings that send to nfnetlink_log what conntrack logs of
// proto, 255 for all protocols. They are for who has bound group 0 already, and
// to be put back before it is let go: a logger without a listener drops what it
// is given.
func ToNFLog(proto uint8) []Setting {
	return []Setting{
		{capture.KeyLoggerIPv4, capture.LoggerNFLog},
		{capture.KeyLoggerIPv6, capture.LoggerNFLog},
		{capture.KeyLogInvalid, fmt.Sprint(proto)},
	}
}

// ToKernelLog are the settings that let conntrack log proto, 255 for all
// protocols, to the loggers that are set: those are held as well, so that nobody
// else who uses this package turns them away meanwhile. Where no logger at all is
// registered, kernels from 6.17 on load nf_log_syslog when this is set
// (nf_conntrack_log_invalid_sysctl).
func ToKernelLog(proto uint8, g capture.Loggers) []Setting {
	var out []Setting
	for _, s := range []struct {
		key    string
		logger string
	}{{capture.KeyLoggerIPv4, g.IPv4.Value}, {capture.KeyLoggerIPv6, g.IPv6.Value}} {
		if s.logger != "" && s.logger != capture.LoggerNone {
			out = append(out, Setting{s.key, s.logger})
		}
	}
	return append(out, Setting{capture.KeyLogInvalid, fmt.Sprint(proto)})
}

// Fate is what became of a setting that was held.
type Fate uint8

const (
	Restored  Fate = iota // it was put back
	Unchanged             // it was as before all the while, or is again
	Foreign               // somebody else has set it to a third value: it was left
	Shared                // another holder still needs it, and puts it back
	Gone                  // it is no more: its module was unloaded
	Failed                // it could not be put back
)

// Change is one setting that is held, or was.
type Change struct {
	Key string
	Was string // before the first holder
	Set string // what it is held at
	// Of one that was let go.
	Fate Fate
	Now  string // Foreign
	Err  error  // Failed: its text ends with the command that puts it back
}

// String is one sentence without a full stop.
func (c Change) String() string {
	switch c.Fate {
	case Restored:
		return fmt.Sprintf("%s is %s again", c.Key, c.Was)
	case Unchanged:
		return fmt.Sprintf("%s is %s, as before", c.Key, c.Was)
	case Foreign:
		return fmt.Sprintf("%s is %s now, which somebody else has set meanwhile: left as it is (%s before)", c.Key, c.Now, c.Was)
	case Shared:
		return fmt.Sprintf("%s stays %s for another ntdiag, which puts back %s", c.Key, c.Set, c.Was)
	case Gone:
		return c.Key + " is no more: its module was unloaded"
	}
	return c.Err.Error()
}

// Errs are the errors among changes.
func Errs(changes []Change) error {
	var errs []error
	for _, c := range changes {
		errs = append(errs, c.Err)
	}
	return errors.Join(errs...)
}

// check refuses what is not to be held.
func check(want []Setting) error {
	if len(want) == 0 {
		return errors.New("no setting to hold")
	}
	for i, s := range want {
		if !slices.Contains(keys, s.Key) {
			return fmt.Errorf("%s: not a setting that is held for a while", s.Key)
		}
		if slices.ContainsFunc(want[:i], func(o Setting) bool { return o.Key == s.Key }) {
			return fmt.Errorf("%s: wanted twice", s.Key)
		}
	}
	return nil
}
