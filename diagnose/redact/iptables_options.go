package redact

import (
	"strings"
	"sync"
)

// option is how the values of an option are mapped: the first, and those that
// follow. nil is for a flag; what then follows is of no option.
type option struct {
	value, rest func(*Mapper, string) string
}

var (
	flag        = option{}
	keptOne     = option{keepValue, nil} // a number, or words of the extension
	keptTwo     = option{keepValue, keepValue}
	addressList = option{addressValue, nil}
	devices     = option{deviceValue, nil}
	macs        = option{hardwareValue, nil}
	chains      = option{nameValue(Chain), nil} // a number or a policy may follow
	sets        = option{nameValue(SetName), setFlags}
	objects     = option{orNumber(Object), nil}
	opaque      = option{nameValue(Word), nameValue(Word)}
)

// iptablesOptions are the options of iptables, ip6tables, arptables and
// ebtables, and of their extensions. An option that two extensions have fits
// both.
var iptablesOptions = sync.OnceValue(func() map[string]option {
	out := map[string]option{}
	for _, row := range optionRows {
		for w := range strings.FieldsSeq(row.names) {
			out[w] = row.option
		}
	}
	return out
})

var optionRows = []struct {
	option option
	names  string
}{
	{chains, "-A --append -D --delete -I --insert -R --replace -N --new-chain -X --delete-chain -F --flush -P --policy -j --jump -g --goto"},
	{option{nameValue(Chain), nameValue(Chain)}, "-E --rename-chain"},
	{option{nameValue(Table), nil}, "-t --table"},
	{option{extensionValue, nil}, "-m --match"},
	{keptOne, "-p --protocol --proto"},
	{keptTwo, "-c --set-counters --tcp-flags --chunk-types"},
	{flag, "-f --fragment -4 -6 --ipv4 --ipv6"},
	{devices, "-i --in-interface -o --out-interface --physdev-in --physdev-out --oif --logical-in --logical-out"},

	// Of iptables -s and -d are addresses of IP, of ebtables hardware addresses.
	{macs, "-s --source --src -d --destination --dst --mac-source --clustermac --source-mac --destination-mac --src-mac --dst-mac"},
	{macs, "--mangle-mac-s --mangle-mac-d --to-src --to-dst --arpreply-mac --arp-mac-src --arp-mac-dst --among-src --among-dst"},
	{addressList, `--src-range --dst-range --to-destination --to-source --to --on-ip --gateway --ctorigsrc --ctorigdst --ctreplsrc --ctrepldst
		--tunnel-src --tunnel-dst --vaddr --src-pfx --dst-pfx --rt-0-addrs --srh-psid --srh-nsid --srh-lsid
		--source-ip --destination-ip --src-ip --dst-ip --mangle-ip-s --mangle-ip-d
		--ip-src --ip-source --ip-dst --ip-destination --ip6-src --ip6-source --ip6-dst --ip6-destination --arp-ip-src --arp-ip-dst`},

	{sets, "--match-set --add-set --del-set --map-set --set-name"},
	{option{nameValue(SetName), nil}, "--name --hashlimit-name"},
	{option{nameValue(Comment), nil}, "--comment"},
	{option{nameValue(LogPrefix), nil}, "--log-prefix --nflog-prefix --ulog-prefix"},
	{option{nameValue(Helper), nil}, "--helper"},
	{option{nameValue(Secctx), nil}, "--selctx"},
	{option{nameValue(Path), nil}, "--object-pinned"},
	{option{nameValue(Cgroup), nil}, "--path"},
	{option{orNumber(Cgroup), nil}, "--cgroup"},
	{option{nameValue(Program), nil}, "--cmd-owner"},
	{option{orNumber(Word), nil}, "--uid-owner --gid-owner --realm --src-group --dst-group"},
	{objects, "--nfacct-name --led-trigger-id --rateest --rateest-name --rateest1 --rateest2 --timeout --label"},
	{opaque, "--u32 --bytecode --string --hex-string"},

	{flag, `--syn --random --random-fully --persistent --notrack --icase --invert --loose --validmark --accept-local --socket-exists --transparent
		--nowildcard --restore-skmark --suppl-groups --physdev-is-in --physdev-is-out --physdev-is-bridged --rcheck --update --remove --reap
		--rttl --rsource --rdest --set --return-nomatch --exist --queue-bypass --queue-cpu-fanout --log-tcp-sequence --log-tcp-options
		--log-ip-options --log-uid --log-macdecode --save-mark --restore-mark --save --restore --checksum-fill --clamp-mss-to-pmtu
		--ecn-tcp-remove --ecn-tcp-ece --ecn-tcp-cwr --strict --next --contiguous --kerneltz --limit-iface-in --limit-iface-out
		--connlimit-saddr --connlimit-daddr --map-mark --map-prio --map-queue --ipvs --soft --ahres --fragres --fragmore --fraglast --fragfirst
		--rt-0-res --rt-0-not-strict --hashlimit-rate-match --rateest-delta --led-always-blink --sack-perm --timestamp --ecn --new
		--log --log-arp --log-ip --log-ip6 --alarm`},

	{keptOne, `--dport --sport --destination-port --source-port --dports --sports --ports --destination-ports --source-ports --tcp-option
		--icmp-type --icmpv6-type --mh-type --dccp-types --dccp-option --header --ahspi --ahlen --espspi --ipcompspi --compres
		--fragid --fraglen --rt-type --rt-segsleft --rt-len --hbh-len --hbh-opts --dst-len --dst-opts
		--srh-next-hdr --srh-hdr-len-eq --srh-hdr-len-gt --srh-hdr-len-lt --srh-segs-left-eq --srh-segs-left-gt --srh-segs-left-lt
		--srh-last-entry-eq --srh-last-entry-gt --srh-last-entry-lt --srh-tag
		--state --ctstate --ctstatus --ctproto --ctexpire --ctdir --ctorigsrcport --ctorigdstport --ctreplsrcport --ctrepldstport
		--mark --set-mark --set-xmark --and-mark --or-mark --xor-mark --mask --nfmask --ctmask --left-shift-mark --right-shift-mark
		--limit --limit-burst --hashlimit --hashlimit-upto --hashlimit-above --hashlimit-burst --hashlimit-mode --hashlimit-srcmask --hashlimit-dstmask
		--hashlimit-htable-size --hashlimit-htable-max --hashlimit-htable-expire --hashlimit-htable-gcinterval --hashlimit-rate-interval
		--connbytes --connbytes-dir --connbytes-mode --connlimit-upto --connlimit-above --connlimit-mask
		--cluster-total-nodes --cluster-local-node --cluster-local-nodemask --cluster-hash-seed --total-nodes --local-node --hash-init --hashmode
		--cpu --dscp --dscp-class --set-dscp --set-dscp-class --tos --set-tos --and-tos --or-tos --xor-tos --ecn-ip-ect
		--ttl --ttl-eq --ttl-gt --ttl-lt --ttl-set --ttl-inc --ttl-dec --hl-eq --hl-gt --hl-lt --hl-set --hl-inc --hl-dec
		--length --mss --set-mss --wscale --strip-options --pkt-type --src-type --dst-type --dir --pol --mode --reqid --spi --tunnel
		--probability --packet --every --quota --algo --from --seconds --hitcount --genre --log-level
		--packets-eq --packets-gt --packets-lt --bytes-eq --bytes-gt --bytes-lt --update-counters --update-subcounters
		--vproto --vport --vdir --vmethod --vportctl --weekdays --monthdays --timestart --timestop --datestart --datestop
		--to-ports --to-port --on-port --tproxy-mark --reject-with --queue-num --queue-balance --set-class --type --led-delay
		--nflog-group --nflog-range --nflog-size --nflog-threshold --ulog-nlgroup --ulog-cprange --ulog-qthreshold
		--rateest-interval --rateest-ewmalog --rateest-bps --rateest-bps1 --rateest-bps2 --rateest-pps --rateest-pps1 --rateest-pps2
		--rateest-gt --rateest-lt --rateest-eq --zone --zone-orig --zone-reply --ctevents --expevents
		--hmark-tuple --hmark-mod --hmark-offset --hmark-rnd --hmark-src-prefix --hmark-dst-prefix --hmark-sport --hmark-dport --hmark-spi
		--hmark-proto-mask --hmark-sport-mask --hmark-dport-mask --hmark-spi-mask
		--opcode --h-length --h-type --proto-type --mangle-target --arp-opcode --arp-htype --arp-ptype --arp-gratuitous
		--ip-protocol --ip-proto --ip-source-port --ip-sport --ip-destination-port --ip-dport --ip-tos --ip6-protocol --ip6-proto
		--ip6-source-port --ip6-sport --ip6-destination-port --ip6-dport --ip6-tclass --ip6-icmp-type --ip-icmp-type
		--vlan-id --vlan-prio --vlan-encap --802_3-sap --802_3-type --pkttype-type --stp-type
		--snat-target --snat-arp --dnat-target --redirect-target --arpreply-target --mark-set --mark-or --mark-and --mark-xor --mark-target`},
}

// iptablesTargets are verdicts and the targets of the kernel. No chain can have
// such a name and be jumped to.
var iptablesTargets = words(`
	ACCEPT DROP RETURN QUEUE CONTINUE AUDIT CHECKSUM CLASSIFY CLUSTERIP CONNMARK CONNSECMARK CT DNAT DNPT DSCP ECN HL HMARK IDLETIMER LED LOG MARK
	MASQUERADE MIRROR NETMAP NFLOG NFQUEUE NOTRACK RATEEST REDIRECT REJECT SAME SECMARK SET SNAT SNPT SYNPROXY TCPMSS TCPOPTSTRIP TEE TOS
	TPROXY TRACE TTL ULOG mangle arpreply dnat snat redirect mark nflog log
`)

// iptablesMatches are the matches of the kernel.
var iptablesMatches = words(`
	addrtype ah bpf cgroup cluster comment connbytes connlabel connlimit connmark conntrack cpu dccp devgroup dscp dst ecn esp eui64 frag hashlimit
	hbh helper hl icmp icmp6 icmpv6 ipcomp iprange ipv6header ipvs l2tp length limit mac mark mh multiport nfacct osf owner physdev pkttype policy
	quota rateest realm recent rpfilter rt sctp set socket srh standard state statistic string tcp tcpmss time tos ttl u32 udp udplite
	802_3 among arp ip ip6 mark_m stp vlan
`)
