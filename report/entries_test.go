package report

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// fullFlow has all that an entry can have.
func fullFlow() host.Flow {
	f := webFlow()
	f.Has |= host.HasMaster | host.HasLabels | host.HasTCPFlags | host.HasTCPScale | host.HasSeqAdj | host.HasSynproxy |
		host.HasSecctx | host.HasUse | host.HasZoneOrig
	f.Master = tuple(6, "10.0.0.10:55000", "10.0.0.1:21")
	f.Zone, f.Use, f.Secctx = 7, 2, "system_u:object_r:\x1bx"
	f.Labels = [16]byte{0: 8, 15: 0x80}
	f.TCPFlags, f.TCPScale = [2]uint8{0x23, 0x0a}, [2]uint8{7, 0}
	f.SeqAdj = [2]host.SeqAdj{{Pos: 9, Before: -3, After: 4}, {}}
	f.Synproxy = host.Synproxy{ISN: 1, ITS: 2, TSOff: 3}
	return f
}

func TestEntries(t *testing.T) {
	cases := map[string]*Entries{
		"full":    {Query: "q", Flows: []Flow{{fullFlow()}}},
		"several": {Query: "q", Flows: []Flow{{sixFlow()}, {pingFlow()}, {espFlow()}}, More: 3},
		"none":    {Query: "10.0.0.1:5\x1b", ReadAs: "tcpdump line", Flows: []Flow{}, Nearest: []Flow{{webFlow()}}},
	}
	for name, doc := range cases {
		doc.Header = header("flows.get")
		for _, f := range formats {
			if f.Name == "wide" {
				continue
			}
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				var b bytes.Buffer
				if err := f.Entries(&b, doc, Style{Now: now}); err != nil {
					t.Fatal(err)
				}
				golden(t, "entries-"+name+"."+f.Name, b.Bytes())
			})
		}
	}
}

func TestChanges(t *testing.T) {
	const refused = "its timeout is fixed"
	changes := []Change{
		{Flow{webFlow()}, ActionUpdated, ""}, {Flow{sixFlow()}, ActionGone, "it ended"}, {Flow{pingFlow()}, ActionFailed, refused},
		{Flow{pingFlow()}, ActionFailed, refused}, {Flow{espFlow()}, ActionFailed, refused}, {Flow{webFlow()}, ActionFailed, refused},
		{Flow{webFlow()}, ActionFailed, refused},
	}
	for name, list := range map[string][]Change{"some": changes, "none": nil, "one": changes[:1]} {
		for _, f := range formats {
			t.Run(name+"/"+f.Name, func(t *testing.T) {
				var b bytes.Buffer
				w := f.Changes(&b, Style{Now: now, Wide: f.Name == "wide"})
				for i := range list {
					if err := w.Add(&list[i]); err != nil {
						t.Fatal(err)
					}
				}
				end := ChangesEnd{Header: header("flows.update"), What: "mark 0x2a", Matched: len(list), Checked: 9}
				if err := w.Close(end); err != nil {
					t.Fatal(err)
				}
				golden(t, "changes-"+name+"."+f.Name, b.Bytes())
				if f.Name == "json" && !json.Valid(b.Bytes()) {
					t.Error("not JSON")
				}
			})
		}
	}
}
