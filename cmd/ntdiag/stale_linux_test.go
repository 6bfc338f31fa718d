package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/nftables"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// TestStaleOfFormerRules: what is judged by rules that changed meanwhile says
// so, and nothing is deleted by it.
func TestStaleOfFormerRules(t *testing.T) {
	l, err := lab.New()
	needKernel(t, err)
	t.Cleanup(func() { l.Close() })
	h, err := l.Host("router")
	if err != nil {
		t.Fatal(err)
	}
	change := func(name string) {
		t.Helper()
		c, err := nftables.New(nftables.WithNetNSFd(h.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: name})
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	change("first")
	a := &app{netns: h.Path()}
	live, err := a.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { live.Close() })
	s, err := snapshot(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	cmd := newStaleCmd(a)
	cmd.SetContext(t.Context())
	p := &staleRun{app: a, source: live, flags: &staleFlags{}, snapshot: s}
	if text, err := p.changed(t.Context()); text != "" || err != nil {
		t.Errorf("nothing changed: %q, %v", text, err)
	}
	if err := p.still(cmd); err != nil {
		t.Errorf("nothing changed: %v", err)
	}
	change("second")
	if text, err := p.changed(t.Context()); !strings.Contains(text, "they changed while the flows were judged (nf_tables generation ") || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	var code *codeError
	if err := p.still(cmd); !errors.As(err, &code) || code.code != exitIncomplete || !strings.Contains(err.Error(), "nothing is deleted") {
		t.Errorf("%v", err)
	}
}

// TestHeld takes output back until there is much of it.
func TestHeld(t *testing.T) {
	var b bytes.Buffer
	h := &held{w: &b}
	write := func(n int) {
		t.Helper()
		if _, err := h.Write(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	write(1000)
	if !h.reset() || b.Len() != 0 {
		t.Errorf("%d bytes went out", b.Len())
	}
	write(heldBack)
	write(1)
	if h.reset() || b.Len() != heldBack+1 {
		t.Errorf("taken back after %d bytes", b.Len())
	}
	write(10)
	if err := h.flush(); err != nil || b.Len() != heldBack+11 {
		t.Errorf("%d bytes, %v", b.Len(), err)
	}
}
