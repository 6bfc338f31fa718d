package main

import (
	"net"
	"os"
)

// notify tells the service manager the state of the service (sd_notify(3)), if
// there is one that wants to know.
func notify(state string) {
	addr := os.Getenv("NOTIFY_SOCKET")
	if addr == "" {
		return
	}
	c, err := net.Dial("unixgram", addr)
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state)) // a manager that does not listen is not missed
}
