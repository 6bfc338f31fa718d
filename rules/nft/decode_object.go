package nft

import (
	"fmt"

	"github.com/ntdiag/ntdiag/rules"
)

// NFTA_OBJ_*.
const (
	attrObjTable    = 1
	attrObjName     = 2
	attrObjType     = 3
	attrObjData     = 4
	attrObjHandle   = 6
	attrObjUserdata = 8
)

// objects is one row a kind of object: how its data is put into the model.
var objects = map[rules.ObjectType]func(o *rules.Object, a *attrs){
	rules.ObjectCounter:   counterObject,
	rules.ObjectQuota:     quotaObject,
	rules.ObjectLimit:     limitObject,
	rules.ObjectCtHelper:  helperObject,
	rules.ObjectCtTimeout: timeoutObject,
	rules.ObjectCtExpect:  expectObject,
	rules.ObjectSynproxy:  synproxyObject,
	rules.ObjectSecmark:   secmarkObject,
	rules.ObjectTunnel:    tunnelObject,
}

// AddObject takes a NFT_MSG_NEWOBJ (nf_tables_fill_obj_info).
func (b *Builder) AddObject(payload []byte) error {
	t, name, a, err := b.openIn("object", payload, attrObjTable, attrObjName)
	if err != nil {
		return err
	}
	o := &rules.Object{
		Table: t.Table, Name: string(name), Handle: a.opt64(attrObjHandle),
		Type: rules.ObjectType(a.opt32(attrObjType)), Raw: b.keeper.Keep(a.get(attrObjData)),
		Comment: cstring(userdata(a.get(attrObjUserdata), udataComment)),
	}
	t.Objects = append(t.Objects, o)
	if read := objects[o.Type]; read != nil {
		data := a.nest(attrObjData)
		read(o, data)
		a.note(data.err)
	}
	if a.err != nil {
		t.note("object %q: %v", name, a.err)
	}
	return nil
}

// counterObject follows nft_counter_do_dump.
func counterObject(o *rules.Object, a *attrs) {
	o.Packets, o.Bytes = a.opt64(attrCounterPackets), a.opt64(attrCounterBytes)
}

// quotaObject follows nft_quota_do_dump; Bytes is what is consumed.
func quotaObject(o *rules.Object, a *attrs) {
	o.Bytes = a.opt64(attrQuotaConsumed)
	o.Detail = fmt.Sprintf("%s %d bytes", [...]string{"until", "over"}[a.opt32(attrQuotaFlags)&quotaInv], a.u64(attrQuotaBytes))
}

// limitObject follows nft_limit_dump.
func limitObject(o *rules.Object, a *attrs) {
	over, unit := "", "packets"
	if a.opt32(attrLimitFlags)&limitInv != 0 {
		over = "over "
	}
	if a.opt32(attrLimitType) == limitBytes {
		unit = "bytes"
	}
	o.Detail = fmt.Sprintf("%s%d %s in %d seconds, burst %d",
		over, a.u64(attrLimitRate), unit, a.u64(attrLimitUnit), a.opt32(attrLimitBurst))
}

// helperObject follows nft_ct_helper_obj_dump: NFTA_CT_HELPER_NAME.
func helperObject(o *rules.Object, a *attrs) { o.Detail = a.name(1) }

// timeoutObject follows nft_ct_timeout_obj_dump: NFTA_CT_TIMEOUT_L4PROTO.
func timeoutObject(o *rules.Object, a *attrs) { o.Detail = fmt.Sprintf("protocol %d", a.u8(2)) }

// expectObject follows nft_ct_expect_obj_dump: NFTA_CT_EXPECT_L4PROTO and
// NFTA_CT_EXPECT_DPORT.
func expectObject(o *rules.Object, a *attrs) {
	o.Detail = fmt.Sprintf("protocol %d dport %d", a.u8(2), a.u16(3))
}

// synproxyObject follows nft_synproxy_do_dump.
func synproxyObject(o *rules.Object, a *attrs) {
	x := synproxyOf(a)
	o.Detail = fmt.Sprintf("mss %d wscale %d", x.MSS, x.Wscale)
}

// secmarkObject follows nft_secmark_obj_dump: NFTA_SECMARK_CTX.
func secmarkObject(o *rules.Object, a *attrs) { o.Detail = a.name(1) }

// tunnelObject follows nft_tunnel_obj_dump.
func tunnelObject(o *rules.Object, a *attrs) { o.Detail = fmt.Sprintf("id %d", a.u32(attrTunnelObjID)) }
