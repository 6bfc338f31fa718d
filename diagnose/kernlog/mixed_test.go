package kernlog

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
)

// mixedLog is a syslog file of any size: of ten lines seven are the kernel's,
// and six of these conntrack's.
type mixedLog struct {
	block []byte
	left  int
	rest  []byte
	flows []int // where a digit makes it another flow in each block; nil for the same
}

const blockLines = 1000

func newMixedLog(lines int) *mixedLog {
	var b bytes.Buffer
	for i := range blockLines {
		stamp := fmt.Sprintf("Nov 27 14:%02d:%02d fw1", i/60%60, i%60)
		switch {
		case i%10 == 3:
			fmt.Fprintf(&b, "%s sshd[%d]: Accepted publickey for admin from 192.0.2.%d port %d ssh2: ED25519 SHA256:abcdefghijklmnopqrstuvwxyz0123456789\n", stamp, 900+i, i%250, 40000+i)
		case i%10 == 7:
			fmt.Fprintf(&b, "%s dnsmasq[%d]: query[A] host%d.example.com from 192.0.2.%d\n", stamp, 700, i, i%250)
		case i%10 == 9:
			fmt.Fprintf(&b, "%s CRON[%d]: (root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)\n", stamp, 3000+i)
		case i%10 == 5:
			fmt.Fprintf(&b, "%s kernel: [%5d.%06d] r0: renamed from veth%d\n", stamp, 900+i, i*977%1000000, i)
		default:
			fmt.Fprintf(&b, "%s kernel: [%5d.%06d] nf_ct_proto_6: SEQ is over upper bound %d (over the window of the receiver) IN=r0 OUT= MAC=02:00:00:00:00:01:02:00:00:00:00:02:08:00 "+
				"SRC=192.0.2.%d DST=198.51.100.%d LEN=52 TOS=0x00 PREC=0x00 TTL=64 ID=%d DF PROTO=TCP SPT=%d DPT=443 SEQ=%d ACK=%d WINDOW=502 RES=0x00 ACK URGP=0 OPT (0101080A0000000000000000) \n",
				stamp, 900+i, i*977%1000000, 65242+i, i%250, i%99, i, 30000+i, 1000000+i*37, 5000+i)
		}
	}
	return &mixedLog{block: b.Bytes(), left: lines / blockLines}
}

// newFlowLog is a mixedLog in which every message is of another flow, of
// 90,000.
func newFlowLog(lines int) *mixedLog {
	m := newMixedLog(lines)
	const to = "DST=198.51."
	for at := 0; ; {
		i := bytes.Index(m.block[at:], []byte(to))
		if i < 0 {
			return m
		}
		at += i + len(to)
		m.flows = append(m.flows, at)
	}
}

func (m *mixedLog) Read(b []byte) (int, error) {
	if len(m.rest) == 0 {
		if m.left == 0 {
			return 0, io.EOF
		}
		m.left--
		m.rest = m.block
		for _, at := range m.flows {
			n := 100 + m.left%150
			m.block[at], m.block[at+1], m.block[at+2] = byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10)
		}
	}
	n := copy(b, m.rest)
	m.rest = m.rest[n:]
	return n, nil
}

func packedLog(tb testing.TB, lines int) []byte {
	tb.Helper()
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := io.Copy(z, newMixedLog(lines)); err != nil {
		tb.Fatal(err)
	}
	if err := z.Close(); err != nil {
		tb.Fatal(err)
	}
	return packed.Bytes()
}

// What the benchmark needs, which parses too.
func NewMixedLog(lines int) io.Reader           { return newMixedLog(lines) }
func NewFlowLog(lines int) io.Reader            { return newFlowLog(lines) }
func PackedLog(tb testing.TB, lines int) []byte { return packedLog(tb, lines) }
