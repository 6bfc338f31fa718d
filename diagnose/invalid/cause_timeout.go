package invalid

import (
	"strconv"
	"time"
)

// keepalive is TCP_KEEPALIVE_TIME: when an idle connection sends its first probe,
// where the program has set nothing else.
const keepalive = 2 * time.Hour

// findTimeout: entries of idle connections end before their keepalive comes.
func findTimeout(q *inquiry) *Cause {
	seconds, err := strconv.Atoi(sysctl(q.Host, keyEstablished))
	timeout := time.Duration(seconds) * time.Second
	if err != nil || timeout > keepalive {
		return nil
	}
	p := q.pick(func(_ *Group, f *Flow) bool {
		e := q.Found[f].One()
		return f.Flags&tcpSYN == 0 && (e == nil || e.Younger)
	})
	if p.packets == 0 {
		return nil
	}
	c := q.cause(p, false, "connections without traffic lose their entry before they send a keepalive")
	c.Likely = true
	c.say("%s have no entry any more", p.amount())
	c.say("%s is %d s; TCP sends a keepalive after %d s where the program asks for nothing else", keyEstablished, seconds, int(keepalive/time.Second))
	c.fix("sysctl -w "+keyEstablished+"="+strconv.Itoa(int((keepalive+10*time.Minute)/time.Second)), "entries of connections that are gone stay as long: the table needs more room")
	c.fix("have the hosts send keepalives earlier: there, net.ipv4.tcp_keepalive_time="+strconv.Itoa(max(seconds/2, 30)), "more packets; only for programs that set SO_KEEPALIVE")
	return c
}
