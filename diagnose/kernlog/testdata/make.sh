#!/bin/bash
# Writes the logs of this directory with the programs that write them on real
# machines: systemd-journal-remote, journalctl, dmesg, gzip, zstd, xz, bzip2, lz4
# (make-syslog.sh: rsyslog and busybox). What is in them is made up.
set -euo pipefail
cd "$(dirname "$0")"
export TZ=UTC LC_ALL=C
mkdir -p logs
rm -f logs/*.packed logs/{journalctl,dmesg,compressed,damaged,utf16,crlf}*
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# the messages, as entries of the journal
python3 - "$tmp" <<'PY'
import struct, sys
boot, machine = "0b" * 16, "fa" * 16
packet = ("IN=r0 OUT= MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 SRC=192.0.2.10 DST=198.51.100.20 LEN=40 TOS=0x00 PREC=0x00 "
          "TTL=64 ID=4660 DF PROTO=TCP SPT=40000 DPT=443 SEQ=1000 ACK=0 WINDOW=64240 RES=0x00 RST URGP=0 ")
kern = lambda text: {"_TRANSPORT": "kernel", "SYSLOG_FACILITY": "0", "SYSLOG_IDENTIFIER": "kernel", "PRIORITY": "5", "MESSAGE": text}
messages = [
    kern("Linux version 6.12.107 (made up)"),
    kern("nf_ct_proto_6: invalid new " + packet),
    {"_TRANSPORT": "syslog", "SYSLOG_FACILITY": "4", "SYSLOG_IDENTIFIER": "sshd", "SYSLOG_PID": "812", "PRIORITY": "6", "MESSAGE": "kernel: nf_ct_proto_6: invalid new, says a program"},
    kern("nf_ct_proto_132: \n" + packet.replace("PROTO=TCP", "PROTO=132")),
    {"_TRANSPORT": "kernel", "SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "systemd", "SYSLOG_PID": "1", "PRIORITY": "6", "MESSAGE": "Started a service"},
    {"_TRANSPORT": "driver", "SYSLOG_FACILITY": "3", "SYSLOG_IDENTIFIER": "systemd-journald", "_PID": "212", "PRIORITY": "4", "MESSAGE": "Missed 31 kernel messages"},
    kern("nf_ct_proto_6: SEQ is over upper bound 65242 (over the window of the receiver) " + packet + "OPT (" + "0101080A" * 150 + ") "),
    kern("a tab\t, a control \x1b[31m, an umlaut \u00e4 and a \\backslash"),
    kern("nf_conntrack: nf_conntrack: table full, dropping packet"),
]
with open(sys.argv[1] + "/in.export", "wb") as f:
    for i, m in enumerate(messages):
        at = 1795788001_000000 + i * 1_250_000
        up = 994671234 + i * 1_250_000
        f.write(b"__CURSOR=s=%s;i=%x;b=%s;m=%x;t=%x;x=%x\n" % (b"ab" * 16, i + 1, boot.encode(), up, at, 0x1234 + i))
        f.write(b"__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=%s\n" % (at, up, boot.encode()))
        if m["_TRANSPORT"] == "kernel":
            m["_SOURCE_MONOTONIC_TIMESTAMP"] = str(up - 100)
        m.update({"_HOSTNAME": "fw1", "_MACHINE_ID": machine})
        for k, v in m.items():
            v = v.encode()
            if b"\n" in v or b"\x1b" in v:
                f.write(k.encode() + b"\n" + struct.pack("<Q", len(v)) + v + b"\n")
            else:
                f.write(k.encode() + b"=" + v + b"\n")
        f.write(b"\n")
PY

# journal NAME VAR=… : a journal file, kept packed since most of it is empty
remote=/lib/systemd/systemd-journal-remote
journal() {
	local name=$1; shift
	env "$@" $remote --output="$tmp/$name.journal" --split-mode=none "${compress[@]}" - <"$tmp/in.export" 2>/dev/null
	# the header has the id of this machine
	printf '\xfa%.0s' {1..16} | dd of="$tmp/$name.journal" bs=1 seek=40 conv=notrunc status=none
	gzip -9nc "$tmp/$name.journal" >"logs/$name.journal.packed"
}
compress=(--compress=yes)
journal zstd-compact SYSTEMD_JOURNAL_COMPACT=1
journal zstd SYSTEMD_JOURNAL_COMPACT=0
journal jenkins SYSTEMD_JOURNAL_COMPACT=0 SYSTEMD_JOURNAL_KEYED_HASH=0
compress=(--compress=no)
journal plain SYSTEMD_JOURNAL_COMPACT=0
# the writer is killed: its file stays as one that is written to
mkfifo "$tmp/fifo"
SYSTEMD_JOURNAL_COMPACT=1 $remote --output="$tmp/killed.journal" --split-mode=none --compress=yes - <"$tmp/fifo" 2>/dev/null &
exec 7>"$tmp/fifo"
cat "$tmp/in.export" >&7
until [ "$(journalctl --quiet --file "$tmp/killed.journal" -o cat 2>/dev/null | wc -l)" = "$(journalctl --quiet --file "$tmp/zstd.journal" -o cat | wc -l)" ]; do sleep 0.1; done
kill -KILL $!
exec 7>&-
printf '\xfa%.0s' {1..16} | dd of="$tmp/killed.journal" bs=1 seek=40 conv=notrunc status=none
gzip -9nc "$tmp/killed.journal" >logs/killed.journal.packed
cp "$tmp/zstd.journal" "$tmp/all.journal"

for form in short short-iso short-iso-precise short-precise short-full short-unix short-monotonic with-unit json json-pretty json-seq json-sse export cat verbose; do
	journalctl --quiet --file "$tmp/all.journal" -o $form >"logs/journalctl-$form.log"
done

# dmesg, from what syslog(2) would give
cat >"$tmp/raw" <<'RAW'
<6>[    0.000000] Linux version 6.12.107 (made up)
<5>[  994.671234] nf_ct_proto_6: invalid new IN=r0 OUT= SRC=192.0.2.10 DST=198.51.100.20 LEN=40
<30>[  995.100000] systemd[1]: Started a service
<5>[  996.000001] nf_ct_proto_132: 
<5>[  996.000001] IN=r0 OUT= SRC=192.0.2.10 DST=198.51.100.20 LEN=64
<4>[ 1000.500000] nf_conntrack: nf_conntrack: table full, dropping packet
RAW
cp "$tmp/raw" logs/dmesg-proc-kmsg.log
for o in default: raw:-r decode:-x delta:-d notime:-t json:--json decode-delta:'-x -d'; do
	dmesg -F "$tmp/raw" ${o#*:} >"logs/dmesg-${o%%:*}.log"
done
# these know the time of boot of this machine: another day is put in its place
day='s/[A-Z][a-z][a-z] [A-Z][a-z][a-z] [ 0-9][0-9] \([0-9:]*\) [0-9]\{4\}/Fri Nov 27 14:00:01 2026/; s/[0-9]\{4\}-[0-9-]*T[0-9:]*,/2026-11-27T14:00:01,/; s/\[[A-Z][a-z][a-z][0-9 ][0-9] [0-9:]*\]/[Nov27 14:00]/'
for o in ctime:-T iso:'--time-format iso' reltime:-e; do
	dmesg -F "$tmp/raw" ${o#*:} | sed "$day" >"logs/dmesg-${o%%:*}.log"
done

# compressed
plain=logs/journalctl-short.log
gzip -nc $plain >logs/compressed.gz
{ gzip -nc $plain; gzip -nc $plain; } >logs/compressed-members.gz
zstd -qc $plain >logs/compressed.zst
zstd -qc --long=27 $plain >logs/compressed-long.zst
xz -9c $plain >logs/compressed.xz
bzip2 -c $plain >logs/compressed.bz2
lz4 -qc $plain >logs/compressed.lz4
gzip -nc logs/compressed.xz >logs/compressed-twice.gz
head -c -12 logs/compressed.gz >logs/damaged-cut.gz
{ gzip -nc $plain; echo "no gzip"; } >logs/damaged-tail.gz
printf '\x1f\x8b\x08\xe0no header' >logs/damaged-head.gz
head -c 200 logs/compressed.zst >logs/damaged-cut.zst
head -c 200 logs/compressed.xz >logs/damaged-cut.xz
iconv -f UTF-8 -t UTF-16 $plain >logs/utf16.log
sed 's/$/\r/' $plain >logs/crlf.log
