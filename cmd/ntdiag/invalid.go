package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/signal"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ntdiag/ntdiag/diagnose/capture"
	"github.com/ntdiag/ntdiag/diagnose/counters"
	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/invalid"
	"github.com/ntdiag/ntdiag/report"
)

// invalidFlags are the flags of `invalid`.
type invalidFlags struct {
	output       string
	follow       bool
	nflog        bool
	enable       bool
	during       time.Duration
	join, noJoin bool
	kernel       string
}

// live tells whether it is listened to the kernel for what comes, and not read
// what was.
func (f *invalidFlags) live() bool { return f.follow || f.nflog || f.enable || f.during > 0 }

func newInvalidCmd(a *app) *cobra.Command {
	f := &invalidFlags{}
	cmd := &cobra.Command{
		Use:   "invalid [FILE…|-]",
		Short: "why packets are invalid, and what becomes of them",
		Long: `invalid reads what conntrack logs of packets that it takes for invalid
(net.netfilter.nf_conntrack_log_invalid), and says what becomes of them, why,
which flows and NAT rules they belong to, and how much of each counter they are.
No NAT rule is asked for an invalid packet: unless a rule drops it, it leaves
with its private address, or ends on this host where DNAT would have sent it on.

Without anything it reads the kernel's log as it is now (/dev/kmsg). With
--follow or --for it listens for what comes. --enable has conntrack log all
protocols meanwhile, and --nflog takes the packets by nfnetlink_log: both are
put back as they were, whatever ends the command; after SIGKILL the next run
does it. The kernel does not limit the rate of what it logs: in a flood --nflog
is the cheaper one, and the kernel's log loses older lines. Kernels from 6.17
load nf_log_syslog when --enable finds no logger; it stays loaded.

Files are logs of dmesg, syslog and journalctl, compressed or not. They are not
joined to the table and the rules of this host, unless --join says that they are
of it; of the log of another kernel --kernel says which. With --follow they are
read, and then what is written to the last of them, also when it is rotated.`,
		Example: `  sudo ntdiag invalid
  sudo ntdiag invalid --enable --for 60s
  sudo ntdiag invalid --netns blue --nflog --enable --follow
  ntdiag invalid /var/log/kern.log*
  ntdiag invalid /var/log/kern.log --follow
  journalctl -k -o json | ntdiag invalid - -o json
  journalctl -kf | ntdiag invalid - --follow`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.invalid(cmd, args, f) },
	}
	outputFlag(cmd, &f.output)
	fs := cmd.Flags()
	fs.BoolVar(&f.follow, "follow", false, "go on with what comes until interrupted: a table in place on a terminal, else a message a line (jsonl)")
	fs.BoolVar(&f.nflog, "nflog", false, "take the packets by nfnetlink_log (group 0) meanwhile, and not from the kernel's log")
	fs.BoolVar(&f.enable, "enable", false, "have conntrack log all protocols meanwhile (log_invalid=255)")
	fs.DurationVar(&f.during, "for", 0, "listen for this long, 60s")
	fs.BoolVar(&f.join, "join", false, "files: they are of this host; look packets up in its table and rules")
	fs.BoolVar(&f.noJoin, "no-join", false, "do not look packets up in the table and rules")
	fs.StringVar(&f.kernel, "kernel", "", "files: `release` of the kernel that wrote them, 5.10; else the wording tells")
	return cmd
}

// check refuses what does not go together.
func (f *invalidFlags) check(args []string, from string) error {
	switch {
	case len(args) > 0 && from == "-" && slices.Contains(args, "-"):
		return errors.New("--from - and a FILE -: standard input is one of them")
	case len(args) > 0 && (f.enable || f.nflog):
		return errors.New("--enable and --nflog are for the running kernel, and not for files")
	case len(args) > 0 && f.during > 0 && !f.follow:
		return errors.New("--for with files only together with --follow: else a file is read as it is")
	case f.during < 0:
		return fmt.Errorf("--for %v: must not be negative", f.during)
	case f.join && f.noJoin:
		return errors.New("--join and --no-join at once")
	case len(args) == 0 && f.kernel != "":
		return errors.New("--kernel is for files: the running kernel is known")
	}
	if _, ok := host.ParseRelease(f.kernel); f.kernel != "" && !ok {
		return fmt.Errorf("--kernel %q: want a release, 5.10", f.kernel)
	}
	return nil
}

// invalidRun is one run of the command.
type invalidRun struct {
	*app
	cmd   *cobra.Command
	flags *invalidFlags
	// source is what packets are looked up in, nil for files that are not joined;
	// live is the same where the kernel is listened to.
	source capture.Source
	live   *capture.Live
	log    *capture.Loggers
	mu     sync.Mutex // of tally, while a screen shows it
	tally  *invalid.Tally
	away   away
	doc    *report.Invalid
	// lost is how many messages were lost so far.
	lost func() uint64
	// from is what messages come from, in words.
	from string
	// took is told when a record of a file was taken in, when somebody follows.
	took func()
	// each is told every message, when somebody follows.
	each func(*invalid.Message, uint64) error

	kernel  host.Release
	missing []host.Missing
	counted *counters.Stats // nil when not known
	total   bool            // counted is since the namespace was made
	limits  []string
}

func (a *app) invalid(cmd *cobra.Command, args []string, f *invalidFlags) error {
	format, err := formatOf(f.output)
	if err == nil {
		err = f.check(args, a.from)
	}
	if err != nil {
		return usage(err)
	}
	r := a.newInvalidRun(cmd, args, f)
	// whoever names a bundle beside a log says that they are of one machine
	if len(args) == 0 || f.join || a.fromTexts() {
		if err = r.open(); err != nil {
			return err
		}
		defer r.source.Close()
	}
	shown := r.show(format)
	switch {
	case len(args) > 0 && f.follow:
		err = r.followFiles(args)
	case len(args) > 0:
		err = r.files(args)
	case f.live():
		err = r.listen(cmd.Context())
	default:
		err = r.past()
	}
	if err := shown(); err != nil {
		return incomplete(err)
	}
	if err != nil {
		return err
	}
	return r.answer(format)
}

func (a *app) newInvalidRun(cmd *cobra.Command, args []string, f *invalidFlags) *invalidRun {
	return &invalidRun{app: a, cmd: cmd, flags: f, tally: invalid.NewTally(), doc: &report.Invalid{}, lost: func() uint64 { return 0 }, from: sourceName(f.nflog, args)}
}

func (r *invalidRun) open() (err error) {
	if r.source, err = r.app.open(r.cmd.Context()); err != nil {
		return err
	}
	if live, ok := r.source.(*capture.Live); ok {
		r.live = live
		r.recover()
	}
	return nil
}

// show begins what is shown of messages as they come, and returns what ends it.
func (r *invalidRun) show(format report.Format) func() error {
	none := func() error { return nil }
	if !r.flags.follow {
		return none
	}
	if term.IsTerminal(int(os.Stdout.Fd())) && format.Human {
		return r.screen()
	}
	if format.Human && !r.cmd.Flags().Changed("output") {
		format, _ = report.FormatByName("jsonl")
		r.flags.output = format.Name
	}
	if format.Name != "jsonl" {
		return none
	}
	out := report.NewInvalidEvents(r.cmd.OutOrStdout(), r.kernelOf())
	r.each = func(m *invalid.Message, n uint64) error {
		if err := out.Add(m, n); err != nil {
			return err
		}
		return out.Flush()
	}
	return out.Flush
}

// kernelOf is the release of the kernel that logs.
func (r *invalidRun) kernelOf() host.Release {
	text := r.flags.kernel
	if r.source != nil && text == "" {
		text = r.host(context.Background(), r.source).Kernel
	}
	k, _ := host.ParseRelease(text)
	return k
}

func (r *invalidRun) add(m *invalid.Message, n uint64) error {
	r.mu.Lock()
	r.tally.Add(m, n)
	r.mu.Unlock()
	if r.each != nil {
		return r.each(m, n)
	}
	return nil
}

// Bounds of an answer.
const (
	maxLookedUp     = 2000 // flows that are looked up in the table
	maxExplained    = 500  // whose entries are explained
	maxFlowsOfEach  = 2000 // listed of one message
	maxShownOfTable = 50   // the same for people
)

// answer joins what was counted to the host, and writes it. Settings are put
// back by now: a signal that comes meanwhile ends the program as it ends any.
func (r *invalidRun) answer(format report.Format) error {
	signal.Reset(os.Interrupt, syscall.SIGTERM)
	if r.flags.output != format.Name { // following made it jsonl
		format, _ = report.FormatByName(r.flags.output)
	}
	limit := maxFlowsOfEach
	if format.Human {
		limit = maxShownOfTable
	}
	d, err := r.document(context.WithoutCancel(r.cmd.Context()), limit)
	if err != nil {
		return err
	}
	if err := format.Invalid(r.out(r.cmd, format), r.doc, r.style(format)); err != nil {
		return incomplete(err)
	}
	return finish(r.cmd, r.doc.Header, d.Bad())
}

// document fills in the document, with at most limit flows of each message.
func (r *invalidRun) document(ctx context.Context, limit int) (*invalid.Diagnosis, error) {
	r.kernel = r.kernelOf()
	c := &invalid.Case{Groups: r.tally.Groups(), Kernel: r.kernel}
	snap := r.host(ctx, r.source)
	if r.source == nil {
		snap.Netns = ""
	}
	if r.joins() {
		s, err := snapshot(ctx, r.source)
		if err != nil {
			return nil, err
		}
		snap, c.Host = s, s
		if err = r.lookUp(ctx, c); err != nil {
			return nil, cannot(err)
		}
		r.doc.Joined = true
	}
	if r.counted != nil {
		c.Accounts = invalid.Accounts(c.Groups, r.counted, r.total, r.circumstances(c.Host))
	}
	d := invalid.Diagnose(c)
	r.recorded(c, d)
	r.doc.Header = report.NewHeader("invalid", snap, append(r.missing, c.Table.Missing...))
	r.doc.Ours, r.doc.Unparsed = r.tally.Messages, r.doc.Unparsed+r.tally.Rest
	in := &report.InvalidInput{Case: c, Diagnosis: d, MaxFlows: limit, Limits: r.limits}
	if r.away.tally != nil {
		in.Absent, in.AbsentDevices = r.away.tally, r.away.devices
		r.doc.Unparsed += r.away.tally.Rest
	}
	r.doc.Fill(in)
	return d, nil
}

// joins tells whether the packets are looked up here, and notes why not.
func (r *invalidRun) joins() bool {
	switch {
	case r.flags.noJoin:
		r.doc.NotJoined = "--no-join"
	case r.source == nil:
		r.doc.NotJoined = "a file can be of another host; --join says that it is of this one"
	}
	return r.doc.NotJoined == ""
}

// lookUp finds the entries of the packets, and explains their NAT.
func (r *invalidRun) lookUp(ctx context.Context, c *invalid.Case) error {
	all := invalid.Top(c.Groups, math.MaxInt, func(*invalid.Group) bool { return true })
	if len(all) == 0 {
		return nil
	}
	flows := all[:min(len(all), maxLookedUp)]
	if len(all) > len(flows) {
		r.limit("of %d flows the %d with most packets were looked up in the table", len(all), len(flows))
	}
	var err error
	if c.Found, c.Table, err = invalid.Find(ctx, r.source, flows); err != nil {
		return err
	}
	e := explain.New(c.Host)
	type entry struct {
		id   uint32
		zone uint16
	}
	known := map[entry]*explain.Explanation{}
	unexplained := map[entry]bool{}
	for _, f := range flows {
		one := c.Found[f].One()
		if one == nil {
			continue
		}
		key := entry{one.Flow.ID, one.Flow.Zone}
		x := known[key]
		if x == nil && len(known) < maxExplained {
			x = e.Explain(&one.Flow, explain.Options{})
			known[key] = x
		}
		if x != nil {
			one.Made = x
		} else {
			unexplained[key] = true
		}
	}
	if n := len(unexplained); n > 0 {
		r.limit("of %d entries the rules behind %d were looked for", len(known)+n, len(known))
	}
	return nil
}

// limit notes what was left out of the answer, that it would not take too long.
func (r *invalidRun) limit(format string, args ...any) {
	r.limits = append(r.limits, fmt.Sprintf(format, args...))
}

func (r *invalidRun) circumstances(s *host.Snapshot) *invalid.Circumstances {
	c := &invalid.Circumstances{Kernel: r.kernel, Host: s, Lost: r.doc.Lost, Enabled: r.flags.enable}
	if r.log != nil {
		c.LogInvalid = r.log.LogInvalid
	}
	if r.flags.enable {
		c.LogInvalid = host.Known[uint8](255)
	}
	return c
}

// warn says a thing on standard error.
func (r *invalidRun) warn(format string, args ...any) {
	fmt.Fprintf(r.cmd.ErrOrStderr(), "ntdiag: "+format+"\n", args...)
}

// eof tells whether err is the end of a log.
func eof(err error) bool { return errors.Is(err, io.EOF) }
