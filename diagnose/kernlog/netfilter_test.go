package kernlog

import "testing"

func TestNetfilter(t *testing.T) {
	for text, want := range map[string]bool{
		"nf_ct_proto_6: invalid new IN=c0 OUT= SRC=10.0.0.10 DST=10.8.2.12":                               true,
		"nf_conntrack: nf_conntrack: table full in netns 4026532599, dropping packet":                     true,
		"nf_conntrack: default automatic helper assignment has been turned off":                           true,
		"helper ftp dropping packet: cannot add expectation IN= OUT=":                                     true,
		"MASQUERADE: eth0 ate my IP address":                                                              true,
		"eth0 ate my IP address":                                                                          true,
		"[UFW BLOCK] IN=eth0 OUT= MAC=00:11:22:33:44:55:66:77:88:99:aa:bb:08:00 SRC=10.0.0.1 DST=1.2.3.4": true,
		"dropIN=eth0 OUT=eth1 SRC=10.0.0.1":                                                               true,
		"Can't find ip_set type hash:ip,mac":                                                              true,
		"xt_recent: hitcount (30) is larger than allowed maximum (20)":                                    true,
		"x_tables: ip_tables: MASQUERADE target: only valid in nat table, not filter":                     true,
		"bridge: filtering via arp/ip/ip6tables is no longer available by default.":                       true,
		"net_ratelimit: 113 callbacks suppressed":                                                         true,
		"Modules linked in: nf_nat":                                                                       true,

		"":                                  false,
		"perf_event: conf_nf_x":             false,
		"usb 1-1: new device, MIN=3":        false,
		"audit: IN=3":                       false,
		"e1000e: eth0 NIC Link is Up":       false,
		"text_xt_ is of nobody, nor next_x": false,
	} {
		if got := Netfilter([]byte(text)); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}
