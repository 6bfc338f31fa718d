package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/diagnose/lab/scale"
)

// node is a host with rules and flows.
type node struct {
	*config
	lab  *lab.Lab
	host *lab.Host
	built
	flowArgs [2][]string // FLOW as ntdiag and as conntrack take it
	churned  int         // flows that came while others were read
}

// newNode has about n rules of a shape, and no flows.
func newNode(c *config, shape *scale.Shape, n int) (*node, error) {
	l, err := lab.New()
	if err != nil {
		return nil, err
	}
	x := &node{config: c, lab: l, built: built{shape: shape, cluster: shape.Cluster(n)}}
	if x.host, err = scale.Node(l); err == nil {
		err = x.load(x.cluster)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return x, nil
}

// load loads the rules of c.
func (x *node) load(c scale.Cluster) error { return loaded(x.shape.Load(x.host, c)) }

// loaded has an error say that root is needed, where that is why.
func loaded(err error) error {
	if why := lab.NotHere(err, ""); why != nil {
		return why
	}
	return err
}

// close drops the table first: that of a namespace which goes is freed in the
// background, while the next things are measured.
func (x *node) close() error {
	_, err := x.host.Run("", "conntrack", "-F")
	return errors.Join(err, x.lab.Close())
}

// chunk is how many flows are made before it is looked whether to go on.
const chunk = 50_000

// fill adds flows until there are n.
func (x *node) fill(ctx context.Context, n int) error {
	for x.flows < n {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		first, more := x.flows, min(chunk, n-x.flows)
		err := x.host.Fill(more, func(i int) lab.Entry {
			f, _ := scale.At(x.cluster, first+i)
			return f.Entry()
		})
		if err != nil {
			return err
		}
		x.flows += more
	}
	said, err := x.host.Run("", "conntrack", "-C")
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(strings.TrimSpace(said)); err != nil || n != x.flows {
		return fmt.Errorf("the table has %s entries, want %d", strings.TrimSpace(said), x.flows)
	}
	return nil
}

// fewer has about n rules take the place of those that are loaded; the flows
// stay.
func (x *node) fewer(n int) error {
	if _, err := x.host.Run("flush ruleset", "nft", "-f", "-"); err != nil {
		return err
	}
	return x.load(x.shape.Cluster(n))
}

// choose makes FLOW a flow to a service that a cluster with few rules has too.
func (x *node) choose(few scale.Cluster) error {
	for i := x.flows / 2; i < x.flows; i++ {
		f, k := scale.At(x.cluster, i)
		for s := range few.Services {
			if k.Name == "outside to service" && f.Dst.Addr() == scale.Service(s) {
				x.flow, x.kind = f, k
				x.flowArgs[0], x.flowArgs[1] = f.Args()
				return nil
			}
		}
	}
	return errors.New("no flow goes to the first services")
}

// addElements adds a map of n elements that a nat chain asks.
func (x *node) addElements(n int) error {
	var b strings.Builder
	b.WriteString(`table ip many {
	map services { type ipv4_addr . inet_service : ipv4_addr . inet_service; elements = {
`)
	for i := range n {
		a := netip.AddrFrom4([4]byte{100, 64 + byte(i>>16), byte(i >> 8), byte(i)})
		fmt.Fprintf(&b, "%s . 443 : 10.244.2.%d . 8443,\n", a, i%256)
	}
	b.WriteString(`	} }
	chain in { type nat hook prerouting priority dstnat + 10; dnat ip to ip daddr . tcp dport map @services; }
}
`)
	_, err := x.host.Run(b.String(), "nft", "-f", "-")
	return loaded(err)
}

// argv is a command line with what its words stand for.
func (x *node) argv(line string) []string {
	var out []string
	flow := x.flowArgs[1]
	for i, word := range strings.Fields(line) {
		switch {
		case i == 0 && word == "ntdiag":
			flow = x.flowArgs[0]
			out = append(out, x.ntdiag)
		case i == 0 && word == "ntbench":
			out = append(out, x.self...)
		case word == "FLOW":
			out = append(out, flow...)
		case word == "BUILT":
			out = append(out, strconv.Itoa(x.cluster.Services), strconv.Itoa(x.flows))
		default:
			out = append(out, word)
		}
	}
	return out
}

// sample runs command lines one after the other; with stdout nil their output
// goes to /dev/null. What takes longer than limit is ended, and is no error.
func (x *node) sample(ctx context.Context, limit time.Duration, lines []string, stdout io.Writer) (Sample, error) {
	var s Sample
	for _, line := range lines {
		one, err := x.one(ctx, limit, x.argv(line), stdout)
		if err != nil {
			return s, fmt.Errorf("%s: %w", line, err)
		}
		s = s.plus(one)
	}
	return s, nil
}

func (x *node) one(ctx context.Context, limit time.Duration, argv []string, stdout io.Writer) (Sample, error) {
	var s Sample
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	read, write, err := os.Pipe()
	if err != nil {
		return s, err
	}
	defer read.Close()
	defer write.Close()
	args := append(append([]string{}, x.self[1:]...), "measure")
	c := exec.CommandContext(timed, x.self[0], append(args, argv...)...)
	var said bytes.Buffer
	c.Stdout, c.Stderr, c.ExtraFiles = stdout, &said, []*os.File{write}
	c.WaitDelay = 10 * time.Second
	start := time.Now()
	if err = x.host.Do(c.Start); err == nil {
		err = c.Wait()
	}
	if timed.Err() != nil {
		if ctx.Err() != nil {
			return s, context.Cause(ctx)
		}
		return Sample{Wall: time.Since(start), Over: true}, nil
	}
	if err != nil {
		return s, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	write.Close()
	if err := json.NewDecoder(read).Decode(&s); err != nil {
		return s, err
	}
	s.Said = strings.TrimSpace(said.String())
	return s, nil
}

// churn has new flows come until stop is called, which tells why they no longer
// did. Each lives for two seconds, so that the table is no larger for long.
func (x *node) churn(ctx context.Context) (stop func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	first := x.churned // the last ones of before may still be there
	go func() {
		n, err := x.host.Churn(ctx, perSec, func(i int) lab.Entry {
			i += first
			src := netip.AddrFrom4([4]byte{10, 245, byte(i >> 22), byte(i >> 14)})
			return lab.Entry{
				Proto: unix.IPPROTO_UDP, Timeout: 2,
				Src: netip.AddrPortFrom(src, uint16(16384+i&(1<<14-1))), Dst: netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, 113, 7}), 53),
			}
		})
		x.churned += n
		done <- err
	}()
	return func() error {
		cancel()
		return <-done
	}
}
