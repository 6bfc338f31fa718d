package rules

import (
	"encoding/binary"
	"math/bits"
)

// jhash is the kernel's jhash() over bytes (include/linux/jhash.h), which is
// Bob Jenkins' lookup3 with words read in the order of the machine.
func jhash(key []byte, seed uint32, o binary.ByteOrder) uint32 {
	const initial = 0xdeadbeef
	a := uint32(initial) + uint32(len(key)) + seed
	b, c := a, a
	for len(key) > 12 {
		a += o.Uint32(key)
		b += o.Uint32(key[4:])
		c += o.Uint32(key[8:])
		a, b, c = jhashMix(a, b, c)
		key = key[12:]
	}
	if len(key) == 0 {
		return c
	}
	// what is left is added byte by byte, the first one lowest on any machine
	var rest [12]byte
	copy(rest[:], key)
	a += binary.LittleEndian.Uint32(rest[:])
	b += binary.LittleEndian.Uint32(rest[4:])
	c += binary.LittleEndian.Uint32(rest[8:])
	return jhashFinal(a, b, c)
}

func jhashMix(a, b, c uint32) (uint32, uint32, uint32) {
	for _, k := range [...]int{4, 6, 8, 16, 19, 4} {
		a -= c
		a ^= bits.RotateLeft32(c, k)
		c += b
		a, b, c = b, c, a // each step does the same to the next of the three
	}
	return a, b, c
}

func jhashFinal(a, b, c uint32) uint32 {
	c ^= b
	c -= bits.RotateLeft32(b, 14)
	a ^= c
	a -= bits.RotateLeft32(c, 11)
	b ^= a
	b -= bits.RotateLeft32(a, 25)
	c ^= b
	c -= bits.RotateLeft32(b, 16)
	a ^= c
	a -= bits.RotateLeft32(c, 4)
	b ^= a
	b -= bits.RotateLeft32(a, 14)
	c ^= b
	c -= bits.RotateLeft32(b, 24)
	return c
}
