package seeded

const nftRules = `
define mac = 02:77:88:99:aa:bb
table inet corpsec-table {
	comment "corpsec table"
	counter corpsec-counter { comment "corpsec object" }
	quota corpsec-quota { over 1 mbytes }
	ct helper corpsec-helper { type "ftp" protocol tcp; }
	ct timeout corpsec-timeout { protocol tcp; policy = { established : 120 }; }
	set corpsec-set { type ipv4_addr; comment "corpsec set"; elements = { 10.77.88.9 comment "corpsec element", 10.77.88.10 } }
	set corpsec-ranges { type ipv4_addr; flags interval; elements = { 10.77.88.16/28, 10.77.88.40-10.77.88.77 } }
	set corpsec-six { typeof ip6 saddr; flags interval; elements = { 2001:4d58:77aa::/56, 2001:4d58:77aa:101::5-2001:4d58:77aa:101::77 } }
	set corpsec-pairs { typeof ip saddr . iifname; elements = { 10.77.88.9 . "corpsec0" } }
	set corpsec-dyn { type ipv4_addr; flags dynamic,timeout; timeout 1h; size 100; }
	set corpsec-devs { type ifname; flags interval; elements = { "corpsecw*" } }
	set corpsec-macs { type ether_addr; elements = { $mac } }
	map corpsec-verdicts { type ipv4_addr : verdict; elements = { 10.77.88.9 : jump corpsec-chain } }
	map corpsec-targets { type inet_service : ipv4_addr . inet_service; elements = { 8080 : 203.0.177.5 . 80 } }
	map corpsec-counts { type ipv4_addr : counter; elements = { 10.77.88.9 : "corpsec-counter" } }
	chain corpsec-chain {
		comment "corpsec chain"
		ip saddr 10.77.88.9 counter name "corpsec-counter" log prefix "corpsec: " comment "corpsec rule"
		iifname "corpsec0" oifname "corpsecw*" ip daddr { 10.77.88.11, 10.77.88.12 } accept
		ip6 saddr 2001:4d58:77aa::9 ip6 daddr 2001:4d58:77aa::/64 accept
		@nh,96,32 0x0a4d5809 accept
		udp dport 53 @ih,0,56 0x636f7270736563 drop
		update @corpsec-dyn { ip saddr }
		ct original ip daddr 203.0.177.7 accept
		ip daddr set 203.0.177.9
		ether saddr $mac accept
		tcp dport 21 ct helper set "corpsec-helper"
		counter name ip saddr map @corpsec-counts
		rt ip nexthop 10.77.88.1 accept
		ip saddr . iifname @corpsec-pairs accept
	}
	chain corpsec-hook {
		type filter hook prerouting priority -150;
		ip saddr vmap @corpsec-verdicts
		ip saddr @corpsec-set accept
		ip daddr @corpsec-ranges accept
		ip6 daddr @corpsec-six accept
		iifname @corpsec-devs accept
		ether saddr @corpsec-macs accept
	}
}
table ip corpsec-nat {
	chain corpsec-pre {
		type nat hook prerouting priority -100;
		tcp dport 80 dnat to 10.77.88.20
		tcp dport 81 dnat to 10.77.88.20-10.77.88.30:8080
		dnat ip addr . port to tcp dport map { 8080 : 203.0.177.5 . 80 }
		ip daddr 203.0.177.0/24 dnat ip prefix to 10.77.88.0/24
	}
	chain corpsec-post {
		type nat hook postrouting priority 100;
		ip saddr 10.77.88.0/24 snat to 203.0.177.8
		snat to jhash ip saddr mod 2 seed 0x1 map { 0 : 203.0.177.6, 1 : 203.0.177.7 }
	}
}
`

const ipsets = `create corpsec-ips hash:ip comment
add corpsec-ips 10.77.88.9 comment "corpsec member"
create corpsec-nets hash:net,iface
add corpsec-nets 10.77.88.0/24,corpsec0
create corpsec-macs bitmap:ip,mac range 10.77.88.0/24
add corpsec-macs 10.77.88.9,02:77:88:99:AA:BB
create corpsec-bitmap bitmap:ip range 10.77.88.10-10.77.88.50
add corpsec-bitmap 10.77.88.20
create corpsec-list list:set
add corpsec-list corpsec-ips
`

const iptablesRules = `*nat
:CORPSEC - [0:0]
:corpsec-x - [0:0]
-A PREROUTING -d 203.0.177.7/32 -i corpsec0 -p tcp -m comment --comment "corpsec rule" -m tcp --dport 80 -j DNAT --to-destination 10.77.88.9:8080
-A PREROUTING -d 203.0.177.0/24 -j NETMAP --to 10.77.88.0/24
-A PREROUTING -m iprange --src-range 10.77.88.3-10.77.88.60 -j corpsec-x
-A PREROUTING -m mac --mac-source 02:77:88:99:aa:bb -j corpsec-x
-A PREROUTING -m set --match-set corpsec-ips src -j corpsec-x
-A POSTROUTING -s 10.77.88.0/24 -o corpsecw+ -j SNAT --to-source 203.0.177.8-203.0.177.30
COMMIT
*mangle
:corpsec-m - [0:0]
-A PREROUTING -m string --string "corpsec.example" --algo bm -j corpsec-m
-A PREROUTING -m recent --name corpsec-recent --set -j corpsec-m
-A PREROUTING -m conntrack --ctorigdst 203.0.177.7 -j corpsec-m
-A PREROUTING -m u32 --u32 "0xc=0xa4d5809" -j corpsec-m
-A PREROUTING -m hashlimit --hashlimit-above 5/sec --hashlimit-mode srcip --hashlimit-name corpsechash -j corpsec-m
-A PREROUTING -j LOG --log-prefix "corpsec drop: "
-A PREROUTING -j NFLOG --nflog-prefix "corpsec nflog"
-A PREROUTING -j TEE --gateway 10.77.88.1
-A PREROUTING -m physdev --physdev-in corpsec1 -j corpsec-m
-A FORWARD -m policy --dir in --pol ipsec --mode tunnel --tunnel-src 203.0.177.7 --tunnel-dst 10.77.88.9 -j corpsec-m
COMMIT
`
