package capture

import "testing"

func TestParseGen(t *testing.T) {
	var w builder
	w.beU32(1, 134)
	w.beU32(2, 3123)
	w.str(3, "nft")
	g, ok := parseGen(nfgen(0, w.b))
	if !ok || g != (nftGen{134, 3123, "nft"}) {
		t.Errorf("%+v %v", g, ok)
	}
	if _, ok := parseGen(nfgen(0, nil)); ok {
		t.Error("without a generation")
	}
}

func TestParseTouch(t *testing.T) {
	var w builder
	w.str(1, "nat")
	w.str(2, "pre")
	w.attr(3, be.AppendUint64(nil, 7))
	for _, typ := range []uint16{nftSubsys | 6, nftSubsys | 8} {
		if got, ok := parseTouch(typ, nfgen(2, w.b)); !ok || got != (Touch{TouchRule, "ip", "nat", "pre", 7}) {
			t.Errorf("%+v %v", got, ok)
		}
	}
	if got, ok := parseTouch(nftSubsys, nfgen(1, w.b)); !ok || got != (Touch{Kind: TouchTable, Family: "inet", Table: "nat"}) {
		t.Errorf("%+v %v", got, ok)
	}
	if _, ok := parseTouch(nftNewGen, nfgen(2, w.b)); ok {
		t.Error("a generation touches nothing")
	}
	if _, ok := parseTouch(nftSubsys|6, nfgen(2, nil)); ok {
		t.Error("without a table")
	}
}

func FuzzNftEvent(f *testing.F) {
	var w builder
	w.str(1, "nat")
	w.str(2, "pre")
	w.attr(3, be.AppendUint64(nil, 7))
	f.Add(uint16(nftSubsys|6), nfgen(2, w.b))
	var g builder
	g.beU32(1, 134)
	g.beU32(2, 3123)
	g.str(3, "nft")
	f.Add(uint16(nftNewGen), nfgen(0, g.b))
	f.Fuzz(func(t *testing.T, typ uint16, b []byte) {
		if x, ok := parseTouch(typ, b); ok && (x.Table == "" || len(x.Table) > len(b) || len(x.Name) > len(b)) {
			t.Errorf("%+v of %d bytes", x, len(b))
		}
		if x, ok := parseGen(b); ok && len(x.program) > len(b) {
			t.Errorf("%+v of %d bytes", x, len(b))
		}
	})
}
