package redact

import (
	"encoding/binary"
	"reflect"

	"github.com/ntdiag/ntdiag/rules"
)

// setUserDataKept are what of a set's user data says how it is printed, and
// holds numbers alone: the order of its keys, auto-merge, the expressions that
// it was declared by, whether its data are intervals (NFTNL_UDATA_SET_*). Its
// comment is not among them.
var setUserDataKept = map[byte]bool{0: true, 2: true, 3: true, 4: true, 6: true}

func setUserData(s *rules.Set) {
	var out []byte
	for b := s.UserData; len(b) >= 2 && len(b) >= 2+int(b[1]); b = b[2+int(b[1]):] {
		if v := b[2 : 2+int(b[1])]; setUserDataKept[b[0]] && numbers(v, b[0] == 3 || b[0] == 4) {
			out = append(out, b[:2+int(b[1])]...)
		}
	}
	s.UserData = out
}

// numbers tells whether v is a number of at most four bytes or, nested, a list
// of them.
func numbers(v []byte, nested bool) bool {
	if len(v) <= 4 {
		return true
	}
	if !nested {
		return false
	}
	for len(v) > 0 {
		if len(v) < 2 || len(v) < 2+int(v[1]) || !numbers(v[2:2+int(v[1])], true) {
			return false
		}
		v = v[2+int(v[1]):]
	}
	return true
}

// attrRow maps the value of one netlink attribute.
type attrRow func(r *model, order binary.ByteOrder, v []byte) []byte

func attrName(k Kind) attrRow {
	return func(r *model, _ binary.ByteOrder, v []byte) []byte {
		return append([]byte(r.m.Name(k, cstring(v))), 0)
	}
}

func attrAddr(f rules.Family) attrRow {
	return func(r *model, _ binary.ByteOrder, v []byte) []byte {
		out := append([]byte(nil), v...)
		r.m.Bytes(f, out)
		return out
	}
}

func attrHidden(r *model, _ binary.ByteOrder, v []byte) []byte {
	out := append([]byte(nil), v...)
	r.hide(out)
	return out
}

// attrNest maps the attributes inside of one, those of rows.
func attrNest(rows map[uint16]attrRow) attrRow {
	return func(r *model, order binary.ByteOrder, v []byte) []byte { return r.attrs(order, v, rows) }
}

// objectAttrs are what of an object's data (NFTA_OBJ_DATA) is mapped, by its
// type: NFTA_CT_HELPER_NAME, NFTA_SECMARK_CTX, and of tunnels the addresses
// (NFTA_TUNNEL_KEY_IP, _IP6) and the data of Geneve options. The others of
// these types are numbers.
var objectAttrs = map[rules.ObjectType]map[uint16]attrRow{
	rules.ObjectCounter: {}, rules.ObjectQuota: {}, rules.ObjectLimit: {}, rules.ObjectConnlimit: {},
	rules.ObjectCtTimeout: {}, rules.ObjectCtExpect: {}, rules.ObjectSynproxy: {},
	rules.ObjectCtHelper: {1: attrName(Helper)},
	rules.ObjectSecmark:  {1: attrName(Secctx)},
	rules.ObjectTunnel: {
		2: attrNest(map[uint16]attrRow{1: attrAddr(rules.FamilyIPv4), 2: attrAddr(rules.FamilyIPv4)}),
		3: attrNest(map[uint16]attrRow{1: attrAddr(rules.FamilyIPv6), 2: attrAddr(rules.FamilyIPv6)}),
		9: attrNest(map[uint16]attrRow{3: attrNest(map[uint16]attrRow{3: attrHidden})}),
	},
}

func (r *model) object(c any, original reflect.Value) {
	o := c.(*rules.Object)
	switch o.Type {
	case rules.ObjectCtHelper:
		o.Detail = r.m.Name(Helper, o.Detail)
	case rules.ObjectSecmark:
		o.Detail = r.m.Name(Secctx, o.Detail)
	}
	rows, ok := objectAttrs[o.Type]
	if !ok {
		o.Raw = nil
		return
	}
	o.Raw = r.attrs(r.order, o.Raw, rows)
}

// attrHeader is NLA_HDRLEN, attrType without NLA_F_NESTED and
// NLA_F_NET_BYTEORDER.
const (
	attrHeader = 4
	attrType   = 0x3fff
)

// attrs rewrites a list of netlink attributes; what cannot be read is left out.
func (r *model) attrs(order binary.ByteOrder, b []byte, rows map[uint16]attrRow) []byte {
	var out []byte
	for len(b) >= attrHeader {
		n := int(order.Uint16(b))
		if n < attrHeader || n > len(b) {
			break
		}
		typ, v := order.Uint16(b[2:]), b[attrHeader:n]
		if do := rows[typ&attrType]; do != nil {
			v = do(r, order, v)
		}
		var head [attrHeader]byte
		order.PutUint16(head[:], uint16(attrHeader+len(v)))
		order.PutUint16(head[2:], typ)
		out = append(append(out, head[:]...), v...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
		b = b[min((n+3)&^3, len(b)):]
	}
	return out
}

// cstring is b up to its first NUL.
func cstring(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}
