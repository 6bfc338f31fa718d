# What a producer sees of the machine: the router's network, and nothing that was
# left or set up there by itself or others. HOSTS is NAME=NAMESPACE of every host,
# EMPTY its directories, IPTABLES the flavour, nft or legacy.
set -eu
trap 'status=$?; [ $status = 0 ] || tail -n 40 /run/*.log 2>/dev/null || true; exit $status' EXIT

mount --make-rprivate /
mount -n -t tmpfs -o mode=755 own /run
mkdir -p /run/netns /run/lock /run/bin
for host in $HOSTS; do
	: >"/run/netns/${host%%=*}"
	mount -n --bind "${host#*=}" "/run/netns/${host%%=*}"
done
cp -dR /etc/alternatives /run/alternatives
mount -n --bind /run/alternatives /etc/alternatives
for dir in /tmp /var/lib /var/cache /var/log $EMPTY; do
	mount -n -t tmpfs own "$dir"
done
mount -n -t proc own /proc
mount -n -t sysfs own /sys
# sysctls of the machine stay as they are
mount -n --bind /proc/sys /proc/sys
mount -n --bind /proc/sys/net /proc/sys/net
mount -n -o remount,bind,ro /proc/sys

# no module is loaded, and every tool finds the same iptables
printf '#!/bin/sh\nexit 0\n' >/run/bin/modprobe
chmod 755 /run/bin/modprobe
for tool in iptables iptables-save iptables-restore ip6tables ip6tables-save ip6tables-restore; do
	ln -sf "/usr/sbin/xtables-$IPTABLES-multi" "/etc/alternatives/$tool"
done
export PATH=/run/bin:$PATH HOME=/run

# await COMMAND...: until it succeeds, for 20 seconds at most
await() {
	end=$(($(date +%s) + 20))
	until "$@" >/run/await.log 2>&1; do
		[ "$(date +%s)" -lt $end ] || { echo "still failing: $*"; exit 1; }
		sleep 0.02
	done
}

# start_firewalld runs it as /etc/firewalld says, on a bus of its own.
start_firewalld() {
	mkdir /run/dbus /run/firewalld
	cat >/run/bus.conf <<-BUS
		<busconfig>
		  <type>system</type>
		  <listen>unix:path=/run/dbus/system_bus_socket</listen>
		  <policy context="default">
		    <allow user="*"/>
		    <allow own="*"/>
		    <allow send_type="method_call"/>
		    <allow send_type="signal"/>
		    <allow send_requested_reply="true"/>
		    <allow receive_type="method_call"/>
		    <allow receive_type="method_return"/>
		    <allow receive_type="error"/>
		    <allow receive_type="signal"/>
		  </policy>
		</busconfig>
	BUS
	dbus-daemon --config-file=/run/bus.conf --nofork >/run/dbus.log 2>&1 &
	await test -S /run/dbus/system_bus_socket
	firewalld --nofork --nopid >/run/firewalld.log 2>&1 &
	await firewall-cmd --state
}
