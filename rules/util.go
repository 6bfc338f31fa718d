package rules

import "strconv"

func itoa(n int) string { return strconv.Itoa(n) }

// RangeMask is the mask whose ones are the bits that both ends of a range share:
// of a netmap's range it is the netmask (netmap_tg4).
func RangeMask(lo, hi []byte) []byte {
	mask := make([]byte, min(len(lo), len(hi)))
	for i := range mask {
		mask[i] = ^(lo[i] ^ hi[i])
	}
	return mask
}
