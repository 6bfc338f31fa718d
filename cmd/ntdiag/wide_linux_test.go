package main

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/lab"
)

// inside runs a command in a host and returns what it prints.
func inside(t *testing.T, h *lab.Host, name string, args ...string) string {
	t.Helper()
	out, err := h.Run("", name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestWideLosesNothing holds `flows -o wide` against all that conntrack prints.
func TestWideLosesNothing(t *testing.T) {
	_, err := exec.LookPath("conntrack")
	needKernel(t, err)
	n := scriptLab(t)
	if err := n.Router.Sysctl("net.netfilter.nf_conntrack_acct=1", "net.netfilter.nf_conntrack_timestamp=1"); err != nil {
		t.Fatal(err)
	}
	inside(t, n.Router, "nft", "add table inet more; add chain inet more f { type filter hook forward priority 0; }; "+
		"add rule inet more f ct label set 3; add rule inet more f ct label set 127; add rule inet more f ct mark set 0x2a")
	if _, err := n.Client.UDP(netip.MustParseAddrPort("10.0.0.10:5353"), netip.MustParseAddrPort("10.8.2.12:53"), true); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"tcp 10.0.0.10:1 > 10.8.2.99:21", "--helper", "ftp", "--zone", "7"},
		{"udp 10.0.0.10:1 > 10.8.2.99:2", "--orig-zone", "9"},
		{"udp 10.0.0.10:2 > 10.8.2.99:2", "--reply-zone", "9", "--status", "fixed_timeout"},
		{"icmp 10.0.0.10 > 10.8.2.99 type 13 id 4"},
		{"sctp 10.0.0.10:1 > 10.8.2.99:2", "--state", "heartbeat-sent", "--orig-vtag", "1", "--reply-vtag", "2"},
		{"esp fd00:a::10 > fd00:b::80"},
	} {
		inside(t, n.Router, "ntdiag", append([]string{"flows", "insert"}, args...)...)
	}
	wide := wideRows(t, inside(t, n.Router, "ntdiag", "flows", "-o", "wide", "--all"))
	lines := strings.Split(strings.TrimSpace(inside(t, n.Router, "conntrack", "-L", "-o", "extended,id,timestamp,labels")), "\n")
	if len(lines) != len(wide) || len(lines) < 10 {
		t.Fatalf("%d lines of conntrack, %d rows", len(lines), len(wide))
	}
	for _, line := range lines {
		id := regexp.MustCompile(`\bid=(\d+)$`).FindStringSubmatch(line)
		if id == nil || wide[id[1]] == nil {
			t.Errorf("no row for %s in %v", line, wide)
			continue
		}
		for _, lost := range lostOf(line, wide[id[1]]) {
			t.Errorf("%s is lost\n%s\n%v", lost, line, wide[id[1]])
		}
	}
}

// wideRows are the rows by id, each a cell by its column.
func wideRows(t *testing.T, text string) map[string]map[string]string {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	var names []string
	var starts []int
	for _, m := range regexp.MustCompile(`\S+`).FindAllStringIndex(lines[0], -1) {
		names, starts = append(names, lines[0][m[0]:m[1]]), append(starts, m[0])
	}
	rows := map[string]map[string]string{}
	for _, line := range lines[1:] {
		runes, row := []rune(line), map[string]string{}
		for i, name := range names {
			from, to := min(starts[i], len(runes)), len(runes)
			if i+1 < len(names) {
				to = min(starts[i+1], len(runes))
			}
			row[name] = strings.TrimSpace(string(runes[from:to]))
		}
		rows[row["ID"]] = row
	}
	return rows
}

// lostOf lists the words of a line of conntrack -L that a row does not tell.
func lostOf(line string, row map[string]string) (lost []string) {
	words := strings.Fields(line)
	reply := false
	check := func(word string, ok bool) {
		if !ok {
			lost = append(lost, word)
		}
	}
	has := func(cell, want string) bool { return strings.Contains(row[cell], want) }
	check(words[2], row["PROTO"] == words[2] || words[2] == "unknown" && row["PROTO"] == "esp")
	if seconds, err := strconv.Atoi(words[4]); err == nil {
		told, err := strconv.Atoi(strings.TrimSuffix(row["TIMEOUT"], "s"))
		check(words[4], err == nil && told >= seconds && told <= seconds+5)
	}
	if len(words) > 5 && !strings.Contains(words[5], "=") {
		check(words[5], has("STATE", words[5]))
	}
	n := map[string]int{}
	for _, word := range words[5:] {
		key, value, found := strings.Cut(word, "=")
		n[key]++
		reply = n[key] == 2
		end := "SOURCE"
		if (key == "dst" || key == "dport") != reply {
			end = "DESTINATION"
		}
		switch {
		case word == "[UNREPLIED]":
			check(word, has("STATE", "unreplied"))
		case word == "[ASSURED]":
			check(word, has("STATUS", "ASSURED"))
		case !found:
		case key == "src", key == "dst":
			check(word, has(end, netip.MustParseAddr(value).String()))
		case key == "sport", key == "dport":
			check(word, has(end, ":"+value))
		case key == "id" && row["ICMP"] != "" && n[key] <= 2:
			check(word, has("SOURCE", "id "+value))
		case key == "id":
			check(word, row["ID"] == value)
		case key == "type" && !reply, key == "code" && !reply:
			check(word, has("ICMP", key+" "+value))
		case key == "packets", key == "bytes":
			both := strings.Split(row[strings.ToUpper(key)], "/")
			check(word, len(both) == 2 && both[n[key]-1] == value)
		case key == "mark":
			v, _ := strconv.Atoi(value)
			check(word, row["MARK"] == fmt.Sprintf("0x%x", v))
		case key == "use", key == "helper":
			check(word, row[strings.ToUpper(key)] == value)
		case key == "zone":
			check(word, row["ZONE"] == value)
		case key == "zone-orig", key == "zone-reply":
			check(word, row["ZONE"] == value+strings.TrimPrefix(key, "zone"))
		case key == "labels":
			check(word, row["LABELS"] != "")
		case key == "delta-time":
			check(word, row["BEGAN"] != "")
		default:
			check(word, reply && (key == "type" || key == "code"))
		}
	}
	return lost
}
