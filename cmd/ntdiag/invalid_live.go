package main

import (
	"context"
	"fmt"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/query"
	"github.com/ntdiag/ntdiag/diagnose/settings"
	"github.com/ntdiag/ntdiag/report"
	"github.com/ntdiag/ntdiag/rules"
)

// miss notes what could not be read.
func (r *invalidRun) miss(what, why string) {
	r.missing = append(r.missing, host.Missing{What: what, Why: why})
}

// recover puts back what a run that was killed has left set in the namespace.
func (r *invalidRun) recover() {
	changes, err := settings.Recover("", r.live)
	r.tell(changes, "a run of ntdiag was killed: ")
	if err != nil {
		r.warn("settings that a killed run may have left: %v", err)
	}
}

func (r *invalidRun) tell(changes []settings.Change, lead string) {
	for _, c := range changes {
		r.warn("%s%s", lead, c)
	}
}

// past reads the kernel's log as it is.
func (r *invalidRun) past() error {
	r.doc.Source = "kmsg"
	r.logging(false)
	read, done, err := r.openPast()
	if err != nil {
		return err
	}
	defer done()
	of, err := r.whose(r.cmd.Context())
	if err != nil {
		return cannot(err)
	}
	r.total = true
	if r.counted, err = r.source.Stats(r.cmd.Context()); err != nil {
		r.miss("counters", err.Error())
	} else {
		t := r.counted.Total()
		of.unfull = t.Has[counters.Drop] && t.Values[counters.Drop] == 0
	}
	if err := read(r.cmd.Context(), of); err != nil {
		return cannot(err)
	}
	return nil
}

// openPast opens the log as it is: the running kernel's before anything else is
// read, so that no message of what is counted then is missing.
func (r *invalidRun) openPast() (read func(context.Context, *whose) error, done func(), err error) {
	if w, ok := r.source.(capture.Whole); ok && r.live == nil {
		return func(ctx context.Context, of *whose) error { return r.logOf(ctx, w, of) }, func() {}, nil
	}
	k, err := capture.OpenKmsg(true)
	if err != nil {
		return nil, nil, incomplete(fmt.Errorf("%w; --nflog --enable --for 60s does without it", err))
	}
	return func(ctx context.Context, of *whose) error {
		if err := r.kmsg(ctx, k, of); err != nil {
			return err
		}
		return r.kmsgRest(k, of)
	}, func() { k.Close() }, nil
}

// source is what messages come from while it is listened.
type source struct {
	name string
	// until takes messages in until the context ends, rest what waits then.
	until func(context.Context) error
	rest  func() error
	close func()
}

// listen takes in what comes, with the settings that were asked for.
func (r *invalidRun) listen(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
	defer stop()
	r.log = r.loggers()
	src, err := r.openSource()
	if err != nil {
		return cannot(err)
	}
	defer src.close()
	r.doc.Source = src.name
	// what is counted begins before what is logged, and ends after it: so that
	// no message is without its count
	before, err := r.live.Stats(ctx)
	if err != nil {
		r.miss("counters", err.Error())
	}
	release, err := r.hold()
	if err != nil {
		return cannot(err)
	}
	defer release()
	r.logging(src.name == "nflog")
	began := time.Now()
	r.warn("listening to %s%s", sourceName(src.name == "nflog", nil), howLong(r.flags.during))
	if r.flags.during > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.flags.during)
		defer cancel()
	}
	err = src.until(ctx)
	r.doc.Seconds = time.Since(began).Round(time.Millisecond).Seconds()
	release()
	if before != nil {
		r.count(context.WithoutCancel(ctx), before)
	}
	if err == nil {
		err = src.rest()
	}
	if err != nil {
		return cannot(err)
	}
	return nil
}

func (r *invalidRun) count(ctx context.Context, before *counters.Stats) {
	after, err := r.live.Stats(ctx)
	if err != nil {
		r.miss("counters", err.Error())
		return
	}
	delta := after.Since(before)
	r.counted = &delta
}

func (r *invalidRun) loggers() *capture.Loggers {
	g := r.source.Loggers()
	return &g
}

// openSource opens what is listened to: nfnetlink_log where it was asked for, or
// where the kernel's log need not have anything of this namespace, or cannot be
// read.
func (r *invalidRun) openSource() (*source, error) {
	if r.flags.nflog {
		return r.nflogSource()
	}
	logs, why := r.log.ToKernelLog(rules.FamilyIPv4)
	k, err := capture.OpenKmsg(false)
	if err != nil {
		logs, why = rules.No, err.Error()
	}
	if can, _ := r.log.CanNFLog(); r.flags.enable && logs != rules.Yes && can != rules.No {
		if k != nil {
			k.Close()
		}
		r.flags.nflog = true
		r.warn("--nflog is taken: %s", why)
		return r.nflogSource()
	}
	if err != nil {
		return nil, err
	}
	of, err := r.whose(r.cmd.Context())
	if err != nil {
		k.Close()
		return nil, err
	}
	r.follow(sourceName(false, nil), k.Lost)
	return &source{
		name:  "kmsg",
		until: func(ctx context.Context) error { return r.kmsg(ctx, k, of) },
		rest:  func() error { return r.kmsgRest(k, of) },
		close: func() { k.Close() },
	}, nil
}

func (r *invalidRun) nflogSource() (*source, error) {
	n, err := r.live.NFLog(0)
	if err != nil {
		return nil, err
	}
	x := &packets{r: r}
	r.follow(sourceName(true, nil), n.Lost)
	return &source{
		name:  "nflog",
		until: func(ctx context.Context) error { return n.Run(ctx, x.take) },
		rest: func() error {
			err := n.Drain(x.take)
			r.doc.Lost, r.doc.Unparsed = n.Lost(), n.Unparsed()
			return err
		},
		close: n.Close,
	}, nil
}

// follow has the screen tell what is listened to, and how much of it was lost.
func (r *invalidRun) follow(from string, lost func() uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.from, r.lost = from, lost
}

// wanted are the settings that the flags ask for.
func (r *invalidRun) wanted() []settings.Setting {
	const all = 255
	switch {
	case r.flags.nflog && r.flags.enable:
		return settings.ToNFLog(all)
	case r.flags.nflog: // as much as is logged
		return slices.DeleteFunc(settings.ToNFLog(all), func(s settings.Setting) bool { return s.Key == capture.KeyLogInvalid })
	case r.flags.enable:
		return settings.ToKernelLog(all, *r.log)
	}
	return nil
}

// hold sets them and returns what puts them back, once.
func (r *invalidRun) hold() (func(), error) {
	want := r.wanted()
	if len(want) == 0 {
		return func() {}, nil
	}
	h, err := settings.Hold("", r.live, want)
	if err != nil {
		return nil, err
	}
	r.tell(h.Recovered(), "a run of ntdiag was killed: ")
	var words []string
	for _, c := range h.Changes() {
		if c.Was != c.Set {
			words = append(words, c.Key+"="+c.Set)
		}
	}
	if len(words) > 0 {
		r.warn("%s until this ends", strings.Join(words, ", "))
	}
	if r.flags.enable && r.log.Loads() {
		r.warn("no logger was there: the kernel loads nf_log_syslog by itself, and it stays loaded")
	}
	if r.flags.enable {
		r.warn("every invalid packet is logged: the kernel does not limit the rate%s", r.cost())
	}
	done := false
	return func() {
		if done {
			return
		}
		done = true
		changes, err := h.Restore()
		for _, c := range changes {
			if c.Fate != settings.Restored && c.Fate != settings.Unchanged {
				r.warn("%s", c)
			}
		}
		if err != nil && settings.Errs(changes) == nil {
			r.warn("%v", err)
		}
	}, nil
}

func (r *invalidRun) cost() string {
	if r.flags.nflog {
		return ", each takes a copy of its headers to this program"
	}
	return ", each is a line of the kernel's log and of what syslog writes to the disk"
}

// logging says what becomes of what conntrack logs, and first of all whether
// anything can have been logged.
func (r *invalidRun) logging(nflog bool) {
	r.log = r.loggers()
	g := r.log
	out := &report.InvalidLogging{LoggerIPv4: g.IPv4.Value, LoggerIPv6: g.IPv6.Value}
	if g.LogInvalid.OK {
		out.LogInvalid = strconv.Itoa(int(g.LogInvalid.Value))
	}
	out.Silent = r.silent(nflog)
	if out.Silent != "" {
		out.Do = "ntdiag invalid" + r.netnsFlag() + " --enable --for 60s"
		if r.flags.live() || !g.LogInvalid.OK || g.LogInvalid.Value == 0 || nflog {
			r.nothing(out.Silent)
		}
	}
	r.doc.Logging = out
}

func (r *invalidRun) nothing(why string) { r.miss("packets that were invalid and not logged", why) }

// silent says why nothing, or not everything, is logged, "" when all is.
func (r *invalidRun) silent(nflog bool) string {
	g := r.log
	if logs, why := g.Logs(host.ProtoTCP); logs == rules.No && g.LogInvalid.Value == 0 {
		if r.flags.live() {
			return why + ": conntrack logs nothing"
		}
		return why + ": conntrack logs nothing now; what the log has is from before"
	} else if logs == rules.Unknown {
		return why
	}
	if !nflog {
		for _, f := range []rules.Family{rules.FamilyIPv4, rules.FamilyIPv6} {
			if to, why := g.ToKernelLog(f); to != rules.Yes {
				return why
			}
		}
	}
	if v := g.LogInvalid.Value; v != 255 {
		return fmt.Sprintf("%s is %d: of other protocols than %s nothing is logged", capture.KeyLogInvalid, v, query.ProtoName(v))
	}
	return ""
}

func howLong(d time.Duration) string {
	if d > 0 {
		return " for " + d.String()
	}
	return " until interrupted"
}

func (r *invalidRun) netnsFlag() string {
	netns := r.named()
	if netns == "" {
		return ""
	}
	return " --netns " + report.ShellWord(netns)
}
