package capture

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// eventBuffer holds any one message of nf_tables or rtnetlink.
const eventBuffer = 64 << 10

// eventQueue is what the kernel may have to tell before it is read, in bytes: a
// table of some 40,000 rules that is made anew fits.
var eventQueue = 64 << 20

// Groups that tell of changes (include/uapi/linux/nfnetlink.h, rtnetlink.h).
var (
	nftGroups = []int{7}                     // NFNLGRP_NFTABLES
	rtGroups  = []int{1, 5, 7, 8, 9, 11, 19} // LINK, IPV4_IFADDR, _ROUTE, _RULE, IPV6_IFADDR, _ROUTE, _RULE
)

// subscribe makes a socket that hears the groups.
func (w *worker) subscribe(proto int, groups []int) (*conn, error) {
	c, err := w.dial(proto)
	if err != nil {
		return nil, err
	}
	// past net.core.rmem_max only root of the machine may go
	if unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, eventQueue) != nil {
		_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, eventQueue)
	}
	for _, g := range groups {
		if err := unix.SetsockoptInt(c.fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g); err != nil {
			c.close()
			return nil, err
		}
	}
	return c, nil
}

// listener gathers what one socket tells until it is asked for.
type listener struct {
	c    *conn
	wake chan struct{} // holds one word that there is something
	take func(*listener, message)

	mu      sync.Mutex
	first   time.Time // of what is gathered
	overrun bool
	err     error // it hears nothing any more
	// of nf_tables
	done []Transaction
	open Transaction // whose NEWGEN has not come yet
}

// listen starts a goroutine that ends, and closes the socket, with ctx.
func listen(ctx context.Context, c *conn, take func(*listener, message)) (l *listener, ended <-chan struct{}) {
	l = &listener{c: c, wake: make(chan struct{}, 1), take: take}
	end := make(chan struct{})
	go func() {
		defer close(end)
		defer c.close()
		l.run(ctx)
	}()
	return l, end
}

func (l *listener) run(ctx context.Context) {
	buf := make([]byte, eventBuffer)
	for {
		b, err := l.c.recv(ctx, buf)
		if ctx.Err() != nil {
			return
		}
		l.mu.Lock()
		switch {
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, errTruncated):
			l.note()
			l.overrun, l.open.Partial = true, true
		case err != nil:
			l.note()
			l.err = err
		default:
			l.datagram(b)
		}
		failed := l.err
		l.mu.Unlock()
		if failed != nil {
			return
		}
	}
}

func (l *listener) datagram(b []byte) {
	for len(b) > 0 {
		m, rest, err := split(b)
		if err != nil {
			l.note()
			l.overrun, l.open.Partial = true, true
			return
		}
		l.take(l, m)
		b = rest
	}
}

// note marks that there is something to ask for.
func (l *listener) note() {
	if l.first.IsZero() {
		l.first = time.Now()
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// takeNft gathers what a transaction touches, until its NEWGEN.
func takeNft(l *listener, m message) {
	if m.typ != nftNewGen {
		t, ok := parseTouch(m.typ, m.payload)
		switch {
		case !ok:
		case len(l.open.Touched) >= maxTouched:
			l.open.Partial = true
		default:
			l.open.touch(t)
		}
		return
	}
	g, ok := parseGen(m.payload)
	if !ok {
		return
	}
	t := l.open
	l.open = Transaction{}
	t.At, t.Generation, t.PID, t.Program = time.Now(), g.id, g.pid, g.program
	t.Parent, t.Command = processOf(g.pid, g.program)
	l.done = append(l.done, t)
	l.note()
}

func (t *Transaction) touch(x Touch) {
	if t.Touched == nil {
		t.Touched = map[Touch]struct{}{}
	}
	t.Touched[x] = struct{}{}
	if x.Kind == TouchRule {
		x.Kind, x.Handle = TouchRules, 0
		t.Touched[x] = struct{}{}
	}
}

// takeRoute wakes for every change but cached routes.
func takeRoute(l *listener, m message) {
	if (m.typ == unix.RTM_NEWROUTE || m.typ == unix.RTM_DELROUTE) && len(m.payload) >= 12 && ne.Uint32(m.payload[8:])&rtmCloned != 0 {
		return
	}
	l.note()
}

// heard is what was gathered.
type heard struct {
	first        time.Time
	transactions []Transaction
	overrun      bool
}

// collect takes what was gathered; of transactions those up to a generation.
func (l *listener) collect(upTo uint32) heard {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.done) && int32(l.done[n].Generation-upTo) <= 0 {
		n++
	}
	h := heard{first: l.first, transactions: l.done[:n:n], overrun: l.overrun}
	l.done = append([]Transaction(nil), l.done[n:]...)
	l.first, l.overrun = time.Time{}, false
	if len(l.done) > 0 {
		l.first = l.done[0].At
		l.note()
	}
	return h
}

// news tells whether there is word of anything beyond a generation.
func (l *listener) news(generation uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.done)
	return l.overrun || n > 0 && int32(l.done[n-1].Generation-generation) > 0
}

func (l *listener) overran() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.overrun
}

// broken is why nothing more will be heard.
func (l *listener) broken() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// heardOf tells whether word of a generation, or of a later one, came.
func (l *listener) heardOf(generation uint32) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(l.done)
	return n > 0 && int32(l.done[n-1].Generation-generation) >= 0
}

// maxCommand bounds a command line in bytes.
const maxCommand = 300

// processOf is what /proc tells of a thread that has just ended a transaction;
// nothing when it has gone, or when the number is one of another pid namespace:
// then the comm is another one.
func processOf(pid uint32, program string) (parent, command string) {
	dir := "/proc/" + strconv.FormatUint(uint64(pid), 10)
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			return ""
		}
		return string(b)
	}
	if comm := strings.TrimSuffix(read(dir+"/comm"), "\n"); comm == "" || comm != program {
		return "", ""
	}
	command = strings.TrimRight(strings.ReplaceAll(read(dir+"/cmdline"), "\x00", " "), " ")
	command = strings.ToValidUTF8(command[:min(len(command), maxCommand)], "")
	for line := range strings.Lines(read(dir + "/status")) {
		if ppid, ok := strings.CutPrefix(line, "PPid:"); ok {
			parent = strings.TrimSuffix(read("/proc/"+strings.TrimSpace(ppid)+"/comm"), "\n")
		}
	}
	return parent, command
}
