package main

import (
	"bytes"
	"io"
)

// heldBack is how much output waits for the word that it is of the present
// rules.
const heldBack = 32 << 20

// held is output that can be taken back until there is much of it.
type held struct {
	w    io.Writer
	buf  bytes.Buffer
	gone bool // some was written
}

func (h *held) Write(b []byte) (int, error) {
	n, err := h.buf.Write(b)
	if err == nil && h.buf.Len() > heldBack {
		err = h.flush()
	}
	return n, err
}

func (h *held) flush() error {
	if h.buf.Len() == 0 {
		return nil
	}
	h.gone = true
	_, err := h.buf.WriteTo(h.w)
	return err
}

// reset takes back what was written, false when it is too late.
func (h *held) reset() bool {
	if h.gone {
		return false
	}
	h.buf.Reset()
	return true
}
