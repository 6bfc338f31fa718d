package kernlog

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// The binary files of systemd-journald, as systemd's JOURNAL_FILE_FORMAT.md and
// journal-def.h have them. All numbers are little endian, offsets are from the
// beginning of the file, objects lie at multiples of 8.

const journalMagic = "LPKSHHRH"

// Flags of the header that a reader has to know.
const (
	journalXZ      = 1 << iota // HEADER_INCOMPATIBLE_COMPRESSED_XZ
	journalLZ4                 // HEADER_INCOMPATIBLE_COMPRESSED_LZ4
	journalKeyed               // HEADER_INCOMPATIBLE_KEYED_HASH: of no matter here, nothing is looked up by hash
	journalZstd                // HEADER_INCOMPATIBLE_COMPRESSED_ZSTD
	journalCompact             // HEADER_INCOMPATIBLE_COMPACT: offsets of 32 bits
	journalKnown   = 1<<iota - 1
)

// Types of objects.
const (
	objectData       = 1
	objectEntry      = 3
	objectEntryArray = 6
)

// Sizes of what is before the variable part of an object.
const (
	objectHeader     = 16
	dataPayload      = 64
	dataCompact      = 72 // tail_entry_array_offset and tail_entry_array_n_entries
	entryItems       = 64
	entryArrayItems  = 24
	journalMinHeader = 208 // as systemd 187 wrote it
)

// maxItems is how many fields of one entry are looked at: journald lets it have
// 1024 (ENTRY_FIELD_COUNT_MAX).
const maxItems = 1024

// journal reads the entries of one file in their order. It looks only at the
// fields that the kernel's messages are known by, and needs no more memory for a
// larger file.
type journal struct {
	f       *pages
	size    uint64
	compact bool
	entries uint64 // how many the header tells of
	read    uint64 // how many were read

	array     uint64 // the array that is read, 0 before the first
	arrayEnd  uint64
	item      uint64 // the next of its entries
	items     uint64
	nextArray uint64
	entry     uint64 // the entry read last, to tell that they go up

	unpack unpacker
	// kinds remembers what field a data object is of, by its offset: the same few
	// are in each entry.
	kinds [4096]struct {
		offset uint64
		kind   dataKind
	}
	items64 []uint64
	buf     []byte
}

// dataKind is what a data object says.
type dataKind uint8

const (
	dataUnknown dataKind = iota
	dataOther            // a field that does not count
	dataKernel           // _TRANSPORT=kernel
	dataDriver           // _TRANSPORT=driver
	dataProgram          // another _TRANSPORT
	dataForeign          // SYSLOG_FACILITY that is not 0, SYSLOG_IDENTIFIER that is not kernel
	dataMessage          // MESSAGE, and _SOURCE_MONOTONIC_TIMESTAMP: to be read each time
	dataMono
)

// openJournal reads the header.
func openJournal(f io.ReaderAt, size int64) (*journal, error) {
	j := &journal{f: &pages{f: f, size: size}, size: uint64(size)}
	h := make([]byte, journalMinHeader)
	if err := j.f.read(h, 0); err != nil {
		return nil, errors.New("journal: ends within its header")
	}
	incompatible := binary.LittleEndian.Uint32(h[12:])
	if unknown := incompatible &^ journalKnown; unknown != 0 {
		return nil, fmt.Errorf("journal: made by a newer systemd (incompatible flags %#x)", unknown)
	}
	j.compact = incompatible&journalCompact != 0
	j.entries = binary.LittleEndian.Uint64(h[152:])
	j.nextArray = binary.LittleEndian.Uint64(h[176:])
	return j, nil
}

// damage is an error at an offset.
func damage(at uint64, what string) error {
	return fmt.Errorf("journal: %s at byte %d", what, at)
}

// object reads the header of an object of type typ, and the first n bytes of it.
func (j *journal) object(at uint64, typ byte, n int) (b []byte, size uint64, err error) {
	if at%8 != 0 || at < journalMinHeader || at >= j.size {
		return nil, 0, damage(at, "no object")
	}
	j.buf = append(j.buf[:0], make([]byte, n)...)
	if err := j.f.read(j.buf, int64(at)); err != nil {
		return nil, 0, damage(at, "the file ends within an object")
	}
	size = binary.LittleEndian.Uint64(j.buf[8:])
	switch {
	case j.buf[0] != typ:
		return nil, 0, damage(at, "not the object that should be there")
	case size < uint64(n) || size > j.size-at:
		return nil, 0, damage(at, "an object of the wrong size")
	}
	return j.buf, size, nil
}

// next fills e with the next entry: with its fields only when it is the kernel's
// or journald's own. io.EOF is the end. Another error is damage: with more, of
// this entry alone.
func (j *journal) next(e *entry) (more bool, err error) {
	for {
		if j.item >= j.items {
			if err := j.beginArray(); err != nil {
				return false, err
			}
			continue
		}
		at, err := j.offset(j.array+entryArrayItems, j.item)
		if err != nil {
			return false, err
		}
		if at == 0 { // the array is longer than what is in it yet
			j.item = j.items
			continue
		}
		j.item++
		if at <= j.entry {
			return true, damage(at, "an entry out of order")
		}
		j.entry = at
		j.read++
		return true, j.readEntry(at, e)
	}
}

// end is the end of the chain: the header tells how many entries there were.
func (j *journal) end() error {
	j.items, j.item, j.nextArray = 0, 0, 0
	if j.read < j.entries {
		return fmt.Errorf("journal: %d of %d entries are not to be found", j.entries-j.read, j.entries)
	}
	return io.EOF
}

// beginArray goes on to the next array of entries.
func (j *journal) beginArray() error {
	at := j.nextArray
	if at == 0 {
		return j.end()
	}
	if at < j.arrayEnd {
		return damage(at, "an array of entries out of order")
	}
	b, size, err := j.object(at, objectEntryArray, entryArrayItems)
	if err != nil {
		return err
	}
	j.array, j.arrayEnd, j.item = at, at+size, 0
	j.nextArray = binary.LittleEndian.Uint64(b[16:])
	j.items = (size - entryArrayItems) / j.itemSize(8)
	return nil
}

// itemSize is the size of an item that is size long in a file that is not
// compact.
func (j *journal) itemSize(size uint64) uint64 {
	if j.compact {
		return 4
	}
	return size
}

// offset reads item i of an array of offsets.
func (j *journal) offset(base, i uint64) (uint64, error) {
	var b [8]byte
	n := j.itemSize(8)
	at := base + i*n
	if err := j.f.read(b[:n], int64(at)); err != nil {
		return 0, damage(at, "the file ends within an array of entries")
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// readEntry reads the entry at an offset.
func (j *journal) readEntry(at uint64, e *entry) error {
	b, size, err := j.object(at, objectEntry, entryItems)
	if err != nil {
		return err
	}
	e.micros = strconv.AppendUint(e.micros, binary.LittleEndian.Uint64(b[24:]), 10)
	e.late = strconv.AppendUint(e.late, binary.LittleEndian.Uint64(b[32:]), 10)
	per := j.itemSize(16)
	n := min((size-entryItems)/per, maxItems)
	j.buf = append(j.buf[:0], make([]byte, n*per)...)
	if err := j.f.read(j.buf, int64(at+entryItems)); err != nil {
		return damage(at, "the file ends within an entry")
	}
	j.items64 = j.items64[:0]
	for i := range n {
		if j.compact {
			j.items64 = append(j.items64, uint64(binary.LittleEndian.Uint32(j.buf[i*per:])))
		} else {
			j.items64 = append(j.items64, binary.LittleEndian.Uint64(j.buf[i*per:]))
		}
	}
	return j.fields(e)
}

// fields reads the data objects of an entry.
func (j *journal) fields(e *entry) error {
	var message, mono uint64
	for _, at := range j.items64 {
		kind, err := j.kind(at)
		if err != nil {
			return err
		}
		switch kind {
		case dataKernel:
			e.transport = transportKernel
		case dataDriver:
			e.transport = transportDriver
		case dataProgram:
			e.transport, e.hasMessage = transportOther, true
			return nil
		case dataForeign:
			e.foreign = true
		case dataMessage:
			message = cmp.Or(message, at)
		case dataMono:
			mono = cmp.Or(mono, at)
		}
	}
	if e.transport == transportNone {
		e.transport = transportOther
		return nil
	}
	for _, at := range [...]uint64{message, mono} {
		if at == 0 {
			continue
		}
		data, cut, err := j.data(at, MaxLine+len("MESSAGE="))
		if err != nil {
			return err
		}
		name, value, _ := bytes.Cut(data, []byte("="))
		entryFields[string(name)](e, value)
		e.cut = e.cut || cut
	}
	return nil
}

// kind is what the data object at an offset says.
func (j *journal) kind(at uint64) (dataKind, error) {
	known := &j.kinds[(at/8)%uint64(len(j.kinds))]
	if known.offset == at && known.kind != dataUnknown {
		return known.kind, nil
	}
	data, _, err := j.data(at, 64)
	if err != nil && err != errLarge {
		return dataUnknown, err
	}
	k := kindOfData(data)
	known.offset, known.kind = at, k
	return k, nil
}

func kindOfData(data []byte) dataKind {
	name, value, _ := bytes.Cut(data, []byte("="))
	switch string(name) {
	case "MESSAGE":
		return dataMessage
	case "_SOURCE_MONOTONIC_TIMESTAMP":
		return dataMono
	case "_TRANSPORT":
		switch string(value) {
		case "kernel":
			return dataKernel
		case "driver":
			return dataDriver
		}
		return dataProgram
	case "SYSLOG_FACILITY":
		if string(value) != "0" {
			return dataForeign
		}
	case "SYSLOG_IDENTIFIER":
		if string(value) != "kernel" {
			return dataForeign
		}
	}
	return dataOther
}

// data reads the payload of a data object, at most limit bytes of it.
func (j *journal) data(at uint64, limit int) (data []byte, cut bool, err error) {
	head := dataPayload
	if j.compact {
		head = dataCompact
	}
	b, size, err := j.object(at, objectData, head)
	if err != nil {
		return nil, false, err
	}
	flags := b[1]
	size -= uint64(head)
	from := int64(at) + int64(head)
	if flags == 0 {
		n := min(size, uint64(limit))
		j.buf = append(j.buf[:0], make([]byte, n)...)
		if err := j.f.read(j.buf, from); err != nil {
			return nil, false, damage(at, "the file ends within a field")
		}
		return j.buf, size > n, nil
	}
	data, err = j.unpack.field(flags, io.NewSectionReader(j.f, from, int64(size)), limit+1)
	if err == errLarge {
		return nil, false, err
	}
	if err != nil {
		return nil, false, damage(at, err.Error())
	}
	if len(data) > limit {
		return data[:limit], true, nil
	}
	return data, false, nil
}
