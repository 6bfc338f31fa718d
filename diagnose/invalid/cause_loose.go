package invalid

// findLoose: what tcp_loose=0 refuses is never logged, only counted.
func findLoose(q *inquiry) *Cause {
	if sysctl(q.Host, keyLoose) != "0" {
		return nil
	}
	for i := range q.Accounts {
		a := &q.Accounts[i]
		if a.Counter != "invalid" || a.Total || a.Rest() == 0 {
			continue
		}
		c := &Cause{Text: "ACKs of connections that have no entry are refused, and never logged", Likely: true, Packets: a.Rest()}
		c.say("%s is 0", keyLoose)
		c.say("invalid rose by %d, of which messages tell of %d", a.Delta, a.Explained)
		c.fix(fixLoose, costLoose)
		return c
	}
	return nil
}
