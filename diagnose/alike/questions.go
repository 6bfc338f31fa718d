package alike

import (
	"encoding/binary"

	"github.com/ntdiag/ntdiag/rules/cuts"
)

// questions are cuts as they are asked of flow after flow: all in one place, one
// field after the other.
type questions struct {
	asks []ask
	at   []uint32    // the bounds of ports and IPv4 addresses
	wide []cuts.Word // those of IPv6 addresses
	// rawID: see cuts.Cuts.
	rawID bool
}

// ask is about one field: which of its next n bounds it has passed, or what it
// is.
type ask struct {
	field cuts.Field
	raw   bool
	wide  bool
	n     int32
}

func questionsOf(c *cuts.Cuts, side Side) questions {
	q := questions{rawID: c.RawID}
	for f, b := range c.Bounds {
		if b == nil || !side.of(cuts.Field(f)) {
			continue
		}
		at, wide := b.List()
		a := ask{field: cuts.Field(f), raw: b.Raw, wide: len(wide) > 0, n: int32(len(at) + len(wide))}
		q.asks, q.at, q.wide = append(q.asks, a), append(q.at, at...), append(q.wide, wide...)
	}
	return q
}

// append adds the answers to a key. Questions about fields that are not of the
// side are left out.
func (q *questions) append(key []byte, v *values, side Side) []byte {
	at, wide := q.at, q.wide
	for i := range q.asks {
		a := &q.asks[i]
		switch ok := side.of(a.field); {
		case a.wide:
			if ok {
				key = binary.NativeEndian.AppendUint32(key, cuts.IntervalWide(wide[:a.n], v.wide[a.field]))
			}
			wide = wide[a.n:]
		case a.raw && ok:
			key = v.appendRaw(key, a.field)
		case !a.raw:
			if ok {
				key = binary.NativeEndian.AppendUint32(key, cuts.Interval(at[:a.n], v.small[a.field]))
			}
			at = at[a.n:]
		}
	}
	return q.appendICMP(key, v, side)
}

func (v *values) appendRaw(key []byte, f cuts.Field) []byte {
	if v.family == 1 && f < cuts.OrigSport {
		return binary.NativeEndian.AppendUint64(binary.NativeEndian.AppendUint64(key, v.wide[f].Hi), v.wide[f].Lo)
	}
	return binary.NativeEndian.AppendUint32(key, v.small[f])
}

// appendICMP adds what is an ICMP flow's own: types and codes, which say what it
// is, and its id where rules look at that.
func (q *questions) appendICMP(key []byte, v *values, side Side) []byte {
	if !v.icmp {
		return key
	}
	fields := []cuts.Field{cuts.OrigDport, cuts.ReplyDport, cuts.OrigSport, cuts.ReplySport}
	if !q.rawID {
		fields = fields[:2]
	}
	for _, i := range fields {
		if side.of(i) {
			key = binary.NativeEndian.AppendUint32(key, v.small[i])
		}
	}
	return key
}
