package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mdlayher/netlink"
	"github.com/ntdiag/ntdiag/diagnose/lab"
	"github.com/ntdiag/ntdiag/rules"
	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sys/unix"
)

// tools is how each kind of ruleset is loaded, by its name in a fixture. The
// ruleset is given on standard input.
var tools = map[string][]string{
	"ruleset.nft":      {"nft", "-f", "-"},
	"ruleset.iptables": {"iptables-nft-restore"},
}

// recordRuleset loads the ruleset of a fixture into a namespace of its own and
// returns what the kernel says of it.
func recordRuleset(t *testing.T, ar *txtar.Archive) []recorded {
	for name, argv := range tools {
		if in := fileOf(ar, name); in != nil {
			return dumpOf(t, argv, in)
		}
	}
	t.Fatal("fixture has no ruleset")
	return nil
}

// dumpOf runs argv with the ruleset on its input inside a new network
// namespace, then dumps nf_tables there.
func dumpOf(t *testing.T, argv []string, ruleset []byte) []recorded {
	t.Helper()
	return dumpWith(t, argv, ruleset)
}

// dumpWith is dumpOf with devices of the given names, for rules that name a
// device by its index.
func dumpWith(t *testing.T, argv []string, ruleset []byte, devices ...string) []recorded {
	t.Helper()
	msgs, err := tryDump(argv, ruleset, devices...)
	leaveOut(t, argv, err)
	if err != nil {
		t.Fatal(err)
	}
	return msgs
}

func tryDump(argv []string, ruleset []byte, devices ...string) (msgs []recorded, err error) {
	done := make(chan error)
	go func() {
		// never unlocked: the thread ends with the goroutine, and the
		// namespace with the thread
		runtime.LockOSThread()
		done <- func() (err error) {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			for i, dev := range devices {
				add := exec.Command("ip", "link", "add", dev, "type", "veth", "peer", "name", fmt.Sprintf("peer%d", i))
				if out, err := add.CombinedOutput(); err != nil {
					return fmt.Errorf("ip link add %s: %w: %s", dev, err, out)
				}
			}
			cmd := exec.Command(argv[0], argv[1:]...)
			cmd.Stdin = strings.NewReader(string(ruleset))
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", argv[0], err, out)
			}
			msgs, err = dumpAll()
			return err
		}()
	}()
	err = <-done
	return msgs, err
}

// leaveOut leaves the test out where err is of the machine, not of the ruleset.
func leaveOut(t *testing.T, argv []string, err error) {
	t.Helper()
	switch {
	case errors.Is(err, unix.EPERM):
		lab.LeaveOut(t, errors.New("a network namespace of its own cannot be made here: needs root"))
	case errors.Is(err, exec.ErrNotFound):
		lab.LeaveOut(t, fmt.Errorf("%s is not installed", argv[0]))
	}
}

// refused holds nft to what the collection says, that it does not load the
// ruleset: it has to complain of the text. A later nft that takes it is false.
func refused(t *testing.T, ruleset []byte, devices []string) bool {
	t.Helper()
	argv := tools["ruleset.nft"]
	_, err := tryDump(argv, ruleset, devices...)
	leaveOut(t, argv, err)
	if err == nil {
		t.Log("nft loads it now, against what the collection says")
		return false
	}
	if !strings.Contains(err.Error(), "Error: ") {
		t.Errorf("nft was to refuse the ruleset, but: %v", err)
	}
	return true
}

// dumps are the NFT_MSG_GET* messages in the order the Builder wants them.
var dumps = []struct {
	kind string
	get  int
}{
	{"table", unix.NFT_MSG_GETTABLE}, {"chain", unix.NFT_MSG_GETCHAIN}, {"set", unix.NFT_MSG_GETSET},
	{"object", unix.NFT_MSG_GETOBJ}, {"flowtable", unix.NFT_MSG_GETFLOWTABLE},
	{"elements", unix.NFT_MSG_GETSETELEM}, {"rule", unix.NFT_MSG_GETRULE},
}

func dumpAll() ([]recorded, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{DisableNSLockThread: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.Close() }()
	var out []recorded
	for _, d := range dumps {
		requests := [][]byte{{0, 0, 0, 0}}
		if d.kind == "elements" {
			requests = elementRequests(out)
		}
		for _, req := range requests {
			got, err := c.Execute(netlink.Message{
				Header: netlink.Header{
					Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | d.get),
					Flags: netlink.Request | netlink.Dump,
				},
				Data: req,
			})
			if err != nil {
				return nil, fmt.Errorf("dump of %s: %w", d.kind, err)
			}
			for _, m := range got {
				out = append(out, recorded{d.kind, m.Data})
			}
		}
	}
	return out, nil
}

// elementRequests asks for the elements of each set that was dumped.
func elementRequests(msgs []recorded) [][]byte {
	var out [][]byte
	for _, m := range msgs {
		if m.kind != "set" {
			continue
		}
		a := parseAttrs(binary.NativeEndian, m.payload[nfgenmsgLen:])
		req := []byte{m.payload[0], 0, 0, 0}
		req = append(req, text(attrElemListTable, a.str(attrSetTable))...)
		out = append(out, append(req, text(attrElemListSet, a.str(attrSetName))...))
	}
	return out
}

// TestRulesets loads every ruleset of a collection into the kernel: nothing
// that the tables of this package cover may stay opaque. It needs root; without,
// run the tests under unshare --user --map-root-user.
func TestRulesets(t *testing.T) {
	dir := os.Getenv("NTDIAG_RULESETS")
	if dir == "" {
		dir = "../../../shared/rulesets/nft"
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		t.Skipf("no rulesets in %s; NTDIAG_RULESETS names another folder", dir)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.nft"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no *.nft in %s: %v", dir, err)
	}
	loads := readIndex(t, filepath.Join(dir, "..", "INDEX.tsv"))
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".nft"), func(t *testing.T) {
			in, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			row := loads[strings.TrimSuffix(filepath.Base(path), ".nft")]
			if row.fails && refused(t, in, row.devices) {
				return
			}
			checkCovered(t, build(t, binary.NativeEndian, dumpWith(t, tools["ruleset.nft"], in, row.devices...)))
		})
	}
}

// indexRow is what a collection's index says of one nft ruleset.
type indexRow struct {
	fails   bool
	devices []string // that must be there before it loads
}

// readIndex reads the collection's index where there is one: name, kind, "OK"
// or "FAIL" in column 6 and "iface NAME; …" in column 7.
func readIndex(t *testing.T, path string) map[string]indexRow {
	t.Helper()
	out := map[string]indexRow{}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Logf("every ruleset must load: %v", err)
		return out
	}
	for line := range strings.Lines(string(b)) {
		col := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(col) < 7 || col[1] != "nft" {
			continue
		}
		row := indexRow{fails: col[5] == "FAIL"}
		for note := range strings.SplitSeq(col[6], ";") {
			if dev, ok := strings.CutPrefix(strings.TrimSpace(note), "iface "); ok {
				row.devices = append(row.devices, dev)
			}
		}
		out[col[0]] = row
	}
	return out
}

// checkCovered fails for opaque statements, for tables that are incomplete, and
// for spans that leave something out.
func checkCovered(t *testing.T, rs *rules.Ruleset) {
	t.Helper()
	checkRuleset(t, rs)
	n := 0
	for _, table := range rs.Tables {
		if len(table.Incomplete) > 0 {
			t.Errorf("table %s: %q", table.Name, table.Incomplete)
		}
		for _, c := range table.Chains {
			for _, r := range c.Rules {
				n++
				for _, st := range r.Statements {
					if o, ok := st.(*rules.Opaque); ok {
						t.Errorf("%s %s rule %d: %s: %s", table.Name, c.Name, r.Position, o.Name, o.Why)
					}
				}
			}
		}
	}
	if len(rs.Tables) == 0 {
		t.Error("the kernel gave no table back")
	}
	t.Logf("%d tables, %d rules", len(rs.Tables), n)
}
