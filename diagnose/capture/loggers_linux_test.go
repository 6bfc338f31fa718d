package capture

import (
	"os"
	"slices"
	"testing"

	"github.com/ntdiag/ntdiag/rules"
)

func TestLoggersHere(t *testing.T) {
	_, live := logging(t)
	g := live.Loggers()
	if g.Initial != rules.No || !g.Release.Known() || !g.Known.OK || !slices.Contains(g.Known.Value, LoggerNFLog) {
		t.Fatalf("%+v", g)
	}
	if yes, why := g.Logs(6); yes != rules.No {
		t.Errorf("nothing is set: logs %v %s", yes, why)
	}
	setLogging(t, live)
	g = live.Loggers()
	if v := g.Logger(rules.FamilyIPv6); v.Value != LoggerNFLog {
		t.Errorf("%+v", v)
	}
	if !g.Listener.OK || g.Listener.Value {
		t.Errorf("nobody listens: %+v", g.Listener)
	}
	bindLog(t, live)
	if g = live.Loggers(); !g.Listener.OK || !g.Listener.Value {
		t.Errorf("somebody listens: %+v", g.Listener)
	}
	for _, proto := range []uint8{1, 6, 58} {
		if yes, why := g.Logs(proto); yes != rules.Yes || why != "" {
			t.Errorf("protocol %d: %v %s", proto, yes, why)
		}
	}
	if yes, why := g.ToKernelLog(rules.FamilyIPv4); yes != rules.No {
		t.Errorf("%v %s", yes, why)
	}
	if err := live.SetSysctl(KeyLoggerIPv4, LoggerNone); err != nil {
		t.Fatal(err)
	}
	g = live.Loggers()
	if v := g.Logger(rules.FamilyIPv4); v.Value != LoggerNone {
		t.Errorf("%+v", v)
	}
	if yes, _ := g.CanNFLog(); yes != rules.Yes {
		t.Errorf("cannot: %+v", g)
	}
}

// TestLoggersInitial: this namespace is the initial one if and only if it has
// the setting that only that one has.
func TestLoggersInitial(t *testing.T) {
	live := openHere(t, "")
	_, err := os.Stat("/proc/sys/net/netfilter/nf_log_all_netns")
	g := live.Loggers()
	if (err == nil) != (g.Initial == rules.Yes) || live.Place().Initial() != (g.Initial == rules.Yes) {
		t.Errorf("%v: %+v %+v", err, g, live.Place())
	}
	if err == nil && !g.AllNetns.OK {
		t.Errorf("%+v", g.AllNetns)
	}
}
