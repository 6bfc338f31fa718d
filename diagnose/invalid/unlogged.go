package invalid

// Unlogged is what counters tell of and no message does.
type Unlogged struct {
	// Invalid and Dropped are packets by the counters invalid and drop; a packet
	// can have moved both.
	Invalid, Dropped uint64
	// Silent is what can be behind it, of the counter that says more.
	Silent []SilentCause
}

// Packets is how many packets it is at least.
func (u *Unlogged) Packets() uint64 { return max(u.Invalid, u.Dropped) }

// Likely is the cause that a setting speaks for, nil for none.
func (u *Unlogged) Likely() *SilentCause {
	if len(u.Silent) > 0 && u.Silent[0].Likely {
		return &u.Silent[0]
	}
	return nil
}

// unlogged sums what accounts have no message for. The counter error is left
// out: it moves for every ICMP error about a flow that is over, which is common
// and does no harm. So is what was counted since the namespace was made.
func unlogged(accounts []Account) Unlogged {
	var u Unlogged
	for i := range accounts {
		a := &accounts[i]
		rest := a.Rest()
		if a.Total || rest == 0 {
			continue
		}
		switch a.Counter {
		case "invalid":
			u.Invalid = rest
		case "drop":
			u.Dropped = rest
		}
	}
	of := "invalid"
	if u.Dropped > u.Invalid {
		of = "drop"
	}
	for i := range accounts {
		if a := &accounts[i]; a.Counter == of && u.Packets() > 0 {
			u.Silent = a.Silent
		}
	}
	return u
}

// Bad tells whether packets were invalid, or lost: by a message, or by a counter
// that moved without one. What is not known counts as bad.
func (d *Diagnosis) Bad() bool { return d.Told || d.Unlogged.Packets() > 0 }
