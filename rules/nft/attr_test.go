package nft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
)

// tlv makes a netlink attribute of this test's order, padded; its value is
// the parts joined.
func tlv(typ uint16, parts ...[]byte) []byte {
	val := bytes.Join(parts, nil)
	out := make([]byte, 4, 4+align4(len(val)))
	binary.LittleEndian.PutUint16(out, uint16(4+len(val)))
	binary.LittleEndian.PutUint16(out[2:], typ)
	out = append(out, val...)
	return append(out, make([]byte, align4(len(val))-len(val))...)
}

func n16(typ uint16, v uint16) []byte { return tlv(typ, binary.BigEndian.AppendUint16(nil, v)) }
func n32(typ uint16, v uint32) []byte { return tlv(typ, binary.BigEndian.AppendUint32(nil, v)) }
func n64(typ uint16, v uint64) []byte { return tlv(typ, binary.BigEndian.AppendUint64(nil, v)) }
func text(typ uint16, s string) []byte {
	return tlv(typ, []byte(s), []byte{0})
}

// value is attribute typ with a NFTA_DATA_VALUE inside.
func value(typ uint16, v ...byte) []byte { return tlv(typ|1<<15, tlv(attrDataValue, v)) }

// message is a payload of table family ip with its nfgenmsg.
func message(parts ...[]byte) []byte {
	return append([]byte{2, 0, 0, 0}, bytes.Join(parts, nil)...)
}

func TestEachAttr(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   []byte
		want string
		err  error
	}{
		{"empty", nil, "", nil},
		{"two", append(tlv(1, []byte{7}), tlv(2, []byte{8, 9})...), "1=07 2=0809 ", nil},
		{"flags are masked", tlv(3|1<<15|1<<14, []byte{1}), "3=01 ", nil},
		{"last is not padded", tlv(1, []byte{7})[:5], "1=07 ", nil},
		{"empty value", tlv(1), "1= ", nil},
		{"header cut", append(tlv(1, []byte{7}), 9, 0), "1=07 ", errTruncated},
		{"value cut", tlv(1, []byte{1, 2, 3, 4})[:6], "", errTruncated},
		{"length below header", []byte{3, 0, 1, 0}, "", errTruncated},
		{"length zero", []byte{0, 0, 1, 0}, "", errTruncated},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := ""
			err := eachAttr(binary.LittleEndian, tc.in, func(typ int, v []byte) { got += fmt.Sprintf("%d=%x ", typ, v) })
			if got != tc.want || err != tc.err {
				t.Errorf("got %q, %v; want %q, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestUserdata(t *testing.T) {
	for _, tc := range []struct {
		in   string
		typ  byte
		want string
	}{
		{"\x00\x04web\x00", 0, "web"},
		{"\x01\x01x\x00\x03ab\x00", 0, "ab"},
		{"\x01\x01x", 0, ""},
		{"\x00\x09web\x00", 0, ""}, // longer than what is there
		{"\x00", 0, ""},
		{"", 0, ""},
	} {
		if got := cstring(userdata([]byte(tc.in), tc.typ)); got != tc.want {
			t.Errorf("userdata(%q, %d) = %q, want %q", tc.in, tc.typ, got, tc.want)
		}
	}
}
