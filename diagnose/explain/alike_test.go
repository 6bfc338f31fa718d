//go:build linux

package explain_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"

	"github.com/ntdiag/ntdiag/diagnose/explain"
	"github.com/ntdiag/ntdiag/diagnose/host"
	"github.com/ntdiag/ntdiag/diagnose/stale"
	"github.com/ntdiag/ntdiag/rules"
)

// variants are how many flows are made of each that there is.
const variants = 30

// heldAlike judges and attributes flows, and many that are like them but for a
// field or two, one by one and with what looks alike decided once, and says
// where that gives another answer.
func heldAlike(s *host.Snapshot, entries []*host.Flow, seed uint64) error {
	flows := vary(entries, rand.New(rand.NewPCG(seed, 1)))
	judge, i := stale.New(s), 0
	stream := judge.Stream(2, func(v *stale.Verdict) error {
		f := &flows[i]
		i++
		if want := judge.Judge(f); !reflect.DeepEqual(*v, want) {
			return fmt.Errorf("%s: judged as one like it:\n%+v\nalone:\n%+v", tuples(f), *v, want)
		}
		return nil
	})
	for i := range flows {
		if stream.Add(&flows[i]) != nil {
			break
		}
	}
	if err := stream.Close(); err != nil {
		return err
	}
	return countedAlike(explain.New(s), flows)
}

// heldAlike is heldAlike of what the case left in the table.
func (r *oracleRun) heldAlike(seed uint64) error {
	ids := slices.Sorted(maps.Keys(r.entries))
	var all []*host.Flow
	for _, id := range ids {
		all = append(all, r.entries[id])
	}
	return heldAlike(r.snapshot, all, seed)
}

func tuples(f *host.Flow) string {
	return fmt.Sprintf("%+v, reply %+v, status %s", f.Original, f.Reply, f.Status.Names())
}

// countedAlike holds what Count says against each explanation.
func countedAlike(e *explain.Explainer, flows []host.Flow) error {
	for at := 0; at < len(flows); at += len(flows)/8 + 1 {
		part := flows[at:min(at+len(flows)/8+1, len(flows))]
		made := e.Count(2, func(each func(*host.Flow)) error {
			for i := range part {
				each(&part[i])
			}
			return nil
		})
		want := explain.Made{Flows: map[*rules.Rule]int{}, First: map[*rules.Rule]*host.Flow{}, Graded: map[explain.Grade]int{}}
		for i := range part {
			f := &part[i]
			if len(f.Rewrites()) == 0 {
				continue
			}
			want.NAT++
			for _, rw := range e.Explain(f, explain.Options{}).Rewrites {
				want.Graded[rw.Grade]++
				if len(rw.Rules) != 1 {
					continue
				}
				r := rw.Rules[0]
				if want.Flows[r]++; want.First[r] == nil {
					want.First[r] = f
				}
			}
		}
		if made.NAT != want.NAT || !maps.Equal(made.Graded, want.Graded) || !maps.Equal(made.Flows, want.Flows) ||
			!maps.EqualFunc(made.First, want.First, func(a, b *host.Flow) bool { return *a == *b }) {
			return fmt.Errorf("attributed as those like them: %d %v %v\nalone: %d %v %v", made.NAT, made.Graded, made.Flows, want.NAT, want.Graded, want.Flows)
		}
	}
	return nil
}

// vary makes flows of flows: a few of their fields become what other flows have
// there, or what is next to it, or anything.
func vary(entries []*host.Flow, rng *rand.Rand) []host.Flow {
	var addrs [2][]netip.Addr
	var ports []uint16
	for _, f := range entries {
		for _, t := range []rules.Tuple{f.Original, f.Reply} {
			for _, a := range []netip.Addr{t.Src, t.Dst} {
				addrs[of(a)] = append(addrs[of(a)], a, a.Next(), a.Prev())
			}
			ports = append(ports, t.SrcPort, t.SrcPort+1, t.DstPort, t.DstPort+1)
		}
	}
	ports = append(ports, 0, 1, 511, 512, 1023, 1024, 65535)
	for i := range addrs {
		addrs[i] = slices.DeleteFunc(addrs[i], func(a netip.Addr) bool { return !a.IsValid() || of(a) != i })
	}
	pickAddr := func(like netip.Addr) netip.Addr {
		if rng.IntN(4) == 0 {
			b := like.AsSlice()
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
			a, _ := netip.AddrFromSlice(b)
			return a
		}
		return addrs[of(like)][rng.IntN(len(addrs[of(like)]))]
	}
	var out []host.Flow
	for _, f := range entries {
		out = append(out, *f)
		for range variants {
			v := *f
			for range 1 + rng.IntN(3) {
				switch rng.IntN(14) {
				case 0:
					v.Original.Src = pickAddr(v.Original.Src)
				case 1:
					v.Original.Dst = pickAddr(v.Original.Dst)
				case 2:
					v.Reply.Src = pickAddr(v.Reply.Src)
				case 3:
					v.Reply.Dst = pickAddr(v.Reply.Dst)
				case 4: // as it is without source NAT
					v.Reply.Dst = v.Original.Src
				case 5:
					v.Reply.Src = v.Original.Dst
				case 6, 7:
					v.Original.SrcPort = ports[rng.IntN(len(ports))]
				case 8:
					v.Original.DstPort = ports[rng.IntN(len(ports))]
				case 9:
					v.Reply.SrcPort = ports[rng.IntN(len(ports))]
				case 10:
					v.Reply.DstPort = ports[rng.IntN(len(ports))]
				case 11:
					v.Reply.SrcPort, v.Reply.DstPort = v.Original.DstPort, v.Original.SrcPort
				case 12:
					v.Status ^= host.Status(1 << rng.IntN(16))
				case 13:
					v.Original.SrcPort, v.Reply.DstPort = uint16(rng.Uint32()), uint16(rng.Uint32())
				}
			}
			out = append(out, v)
		}
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// of is 0 for IPv4 and 1 for IPv6.
func of(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}
