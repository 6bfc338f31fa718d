#!/bin/bash
# Writes the logs of this directory that syslog daemons write, in namespaces of
# their own: RSYSLOGD and BUSYBOX name the programs, RSYSLOG_MODULES the directory
# of rsyslogd's modules. What is in them is made up.
set -euo pipefail
cd "$(dirname "$0")"
export TZ=UTC LC_ALL=C
if [ -z "${inside:-}" ]; then
	inside=1 exec unshare -n -m -u "./$(basename "$0")"
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
rm -f logs/rsyslog-* logs/busybox-*

cat >"$tmp/conf" <<CONF
global(workDirectory="$tmp")
module(load="imptcp")
\$RepeatedMsgReduction on
input(type="imptcp" port="15514")
*.* action(type="omfile" file="$PWD/logs/rsyslog-traditional.log" template="RSYSLOG_TraditionalFileFormat")
*.* action(type="omfile" file="$PWD/logs/rsyslog-file-format.log" template="RSYSLOG_FileFormat")
*.* action(type="omfile" file="$PWD/logs/rsyslog-protocol23.log" template="RSYSLOG_SyslogProtocol23Format")
CONF
ip link set lo up
"${RSYSLOGD:-rsyslogd}" -n -f "$tmp/conf" -i "$tmp/pid" -M "${RSYSLOG_MODULES:-/usr/lib/x86_64-linux-gnu/rsyslog}" &
daemon=$!
until (echo >/dev/tcp/127.0.0.1/15514) 2>/dev/null; do sleep 0.1; done
python3 - <<'PY'
import socket
packet = "IN=r0 OUT= SRC=192.0.2.10 DST=198.51.100.20 LEN=40 "
s = socket.create_connection(("127.0.0.1", 15514))
for stamp, pri, tag, msg in [
    ("Nov 27 14:00:01", 5, "kernel", "[  994.671234] nf_ct_proto_6: invalid new " + packet),
    ("Nov 27 14:00:02", 5, "kernel", "[  994.671235] nf_ct_proto_6: bad checksum " + packet),
    ("Nov 27 14:00:02", 5, "kernel", "[  994.671235] nf_ct_proto_6: bad checksum " + packet),
    ("Nov 27 14:00:03", 5, "kernel", "[  994.671235] nf_ct_proto_6: bad checksum " + packet),
    ("Nov 27 14:00:03", 5, "kernel", "[  994.671235] nf_ct_proto_6: bad checksum " + packet),
    ("Nov 27 14:00:04", 38, "sshd[812]", "kernel: nf_ct_proto_6: invalid new, says a program"),
    ("Nov 27 14:00:05", 5, "kernel", "[  996.000001] nf_ct_proto_132: \n" + packet),
    ("Nov 27 14:00:06", 4, "kernel", "[ 1000.500000] a tab\there, \x1b[31m"),
    ("Nov 27 14:00:07", 46, "rsyslogd", "imjournal: 123 messages lost due to rate-limiting (20000 allowed within 600 seconds)"),
    ("Nov  7 14:00:07", 4, "kernel", "[ 1000.500000] nf_conntrack: nf_conntrack: table full, dropping packet"),
]:
    m = f"<{pri}>{stamp} fw1 {tag}: {msg}".encode()
    s.sendall(f"{len(m)} ".encode() + m)
s.close()
PY
until grep -q 'table full' logs/rsyslog-protocol23.log; do sleep 0.1; done
kill $daemon
wait $daemon || true

# busybox listens to /dev/log, and takes the name of the host and the time of day
mount -t tmpfs tmpfs /dev
mknod /dev/null c 1 3
python3 -c 'import socket; socket.sethostname("fw1")'
for form in : -small:-S; do
	"${BUSYBOX:-busybox}" syslogd -n -t ${form#*:} -O "$tmp/out" &
	daemon=$!
	until [ -S /dev/log ]; do sleep 0.1; done
	python3 - <<'PY'
import socket
packet = "IN=r0 OUT= SRC=192.0.2.10 DST=198.51.100.20 LEN=40 "
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect("/dev/log")
for m in ["<5>kernel: [  994.671234] nf_ct_proto_6: invalid new " + packet, "<38>sshd[812]: kernel: nf_ct_proto_6: invalid new, says a program",
          "<4>kernel: [ 1000.500000] nf_conntrack: nf_conntrack: table full, dropping packet"]:
    s.send(m.encode())
PY
	until grep -q 'table full' "$tmp/out"; do sleep 0.1; done
	kill $daemon
	wait $daemon || true
	sed 's/^[A-Z][a-z][a-z] [ 0-9][0-9] [0-9:]\{8\}/Nov 27 14:00:01/' "$tmp/out" >"logs/busybox-syslogd${form%%:*}.log"
	rm "$tmp/out" /dev/log
done
