package nft

import "github.com/ntdiag/ntdiag/rules"

// NFTA_FLOWTABLE_*, and NFTA_FLOWTABLE_HOOK_*.
const (
	attrFlowtableTable    = 1
	attrFlowtableName     = 2
	attrFlowtableHook     = 3
	attrFlowtableHandle   = 5
	attrFlowtableFlags    = 7
	attrFlowtableHookNum  = 1
	attrFlowtableHookPrio = 2
	attrFlowtableHookDevs = 3
)

// AddFlowtable takes a NFT_MSG_NEWFLOWTABLE (nf_tables_fill_flowtable_info).
func (b *Builder) AddFlowtable(payload []byte) error {
	t, name, a, err := b.openIn("flowtable", payload, attrFlowtableTable, attrFlowtableName)
	if err != nil {
		return err
	}
	hook := a.nest(attrFlowtableHook)
	ft := &rules.Flowtable{
		Name: string(name), Handle: a.opt64(attrFlowtableHandle), Flags: a.opt32(attrFlowtableFlags),
		Hook:     hookOf(rules.FamilyNetdev, hook.opt32(attrFlowtableHookNum)),
		Priority: int32(hook.opt32(attrFlowtableHookPrio)),
	}
	if hook.has(attrFlowtableHookDevs) {
		ft.Devices = deviceList(hook, attrFlowtableHookDevs)
	}
	a.note(hook.err)
	if a.err != nil {
		t.note("flowtable %q: %v", name, a.err)
	}
	t.Flowtables = append(t.Flowtables, ft)
	return nil
}
