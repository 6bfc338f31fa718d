package main

import (
	"errors"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"sync"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// scriptLabs are the labs that scripts make for themselves, by script.
var scriptLabs sync.Map

// labCommands are what a script can do with a lab of its own:
//
//	lab                              make it: a client, a router ($OWN), a server
//	on HOST COMMAND…                 run a program on one of them
//	send HOST PROTO SRC DST [once]   tcp, udp, or ping with an id as port; once
//	                                 does not wait for the answer
//	global KEY=VALUE…                settings of the whole machine for the rest of
//	                                 the script; nothing where it may not set them
//	segment HOST SRC DST FLAGS SEQ ACK [N]
//	                                 N TCP segments of client or server as they are
//	                                 written, past its own TCP; FLAGS as "SA"
var labCommands = map[string]func(*testscript.TestScript, bool, []string){
	"lab": makeLab, "on": onHost, "send": sendFrom, "segment": sendSegment, "global": setGlobal,
}

func makeLab(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := lab.New()
	ts.Check(err)
	ts.Defer(func() {
		scriptLabs.Delete(ts.Name())
		l.Close()
	})
	n, err := l.Typical("s0")
	ts.Check(err)
	scriptLabs.Store(ts.Name(), n)
	ts.Setenv("OWN", n.Router.Path())
}

func setGlobal(ts *testscript.TestScript, _ bool, args []string) {
	undo, err := lab.SetGlobal(args...)
	if errors.Is(err, lab.ErrNoGlobal) {
		return
	}
	ts.Check(err)
	ts.Defer(func() { ts.Check(undo()) })
}

// hostOf is the lab of the script, and the host of the name args begin with.
func hostOf(ts *testscript.TestScript, args []string) *lab.Host {
	n, ok := scriptLabs.Load(ts.Name())
	if !ok || len(args) < 2 {
		ts.Fatalf("want a lab, and HOST …")
	}
	own := n.(*lab.Net)
	h := map[string]*lab.Host{"client": own.Client, "router": own.Router, "server": own.Server}[args[0]]
	if h == nil {
		ts.Fatalf("no host %q", args[0])
	}
	return h
}

func onHost(ts *testscript.TestScript, _ bool, args []string) {
	h := hostOf(ts, args)
	ts.Check(h.Do(func() error {
		c := exec.Command(args[1], args[2:]...)
		c.Dir = ts.MkAbs(".")
		out, err := c.CombinedOutput()
		ts.Logf("%s", out)
		return err
	}))
}

func sendFrom(ts *testscript.TestScript, _ bool, args []string) {
	h := hostOf(ts, args)
	if len(args) < 4 {
		ts.Fatalf("usage: send HOST PROTO SRC DST [once]")
	}
	src, err := netip.ParseAddrPort(args[2])
	ts.Check(err)
	wait := len(args) == 4
	if args[1] == "ping" {
		dst, err := netip.ParseAddr(args[3])
		ts.Check(err)
		ts.Check(h.Ping(src.Addr(), dst, src.Port(), wait))
		return
	}
	dst, err := netip.ParseAddrPort(args[3])
	ts.Check(err)
	switch {
	case args[1] == "udp":
		_, err = h.UDP(src, dst, wait)
	case wait:
		_, err = h.TCP(src, dst)
	default:
		err = h.Knock(src, dst)
	}
	ts.Check(err)
}

func sendSegment(ts *testscript.TestScript, _ bool, args []string) {
	h := hostOf(ts, args)
	if len(args) < 6 {
		ts.Fatalf("usage: segment HOST SRC DST FLAGS SEQ ACK [N]")
	}
	n, _ := scriptLabs.Load(ts.Name())
	src, err := netip.ParseAddrPort(args[1])
	ts.Check(err)
	dst, err := netip.ParseAddrPort(args[2])
	ts.Check(err)
	tcp := lab.TCP{SPort: src.Port(), DPort: dst.Port()}
	for i, letter := range "FSRPAU" {
		if strings.ContainsRune(args[3], letter) {
			tcp.Flags |= 1 << i
		}
	}
	number := func(text string) uint32 {
		v, err := strconv.ParseUint(text, 10, 32)
		ts.Check(err)
		return uint32(v)
	}
	tcp.Seq, tcp.Ack = number(args[4]), number(args[5])
	count := 1
	if len(args) > 6 {
		count = int(number(args[6]))
	}
	w, err := h.Wire("eth0", n.(*lab.Net).Router, map[string]string{"client": "c0", "server": "s0"}[args[0]])
	ts.Check(err)
	for range count {
		ts.Check(w.Send(lab.Packet{Src: src.Addr(), Dst: dst.Addr(), L4: tcp}))
	}
}
