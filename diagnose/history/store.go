package history

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/ntdiag/ntdiag/diagnose/host"
)

// The file of one namespace is a bbolt database: bucket "meta" with the
// version of the records, how many were dropped and how many bytes are kept;
// bucket "changes" with one JSON record by its number, eight bytes in network
// order.
var (
	bucketMeta    = []byte("meta")
	bucketChanges = []byte("changes")
	keyVersion    = []byte("version")
	keyDropped    = []byte("dropped")
	keyBytes      = []byte("bytes")
)

// Bounds of a store: the oldest records make room.
const (
	DefaultMaxBytes   = 64 << 20
	DefaultMaxChanges = 100000
)

const (
	// writePatience is how long a write waits for those who read.
	writePatience = 5 * time.Second
	readPatience  = 2 * time.Second
	fileMode      = 0o600
	dirMode       = 0o700
	// fill is how full pages are made: records come in order.
	fill = 0.95
)

// Errors of a store.
var (
	// ErrNoStore: nothing was ever recorded for the namespace.
	ErrNoStore = errors.New("nothing was recorded for this network namespace")
	// ErrLocked: another process records this namespace.
	ErrLocked = errors.New("another process records this network namespace")
)

// DefaultDir is the state directory of a host where no other is told.
const DefaultDir = "/var/lib/ntdiag"

// Path is the file of a namespace in the state directory.
func Path(dir string, n host.NetnsID) string {
	return filepath.Join(dir, fmt.Sprintf("netns-%d.db", n.Inode))
}

// Store writes the records of one namespace. It holds a lock of its own for
// as long as it is there, and the database only for the moment of each write,
// so that others can read meanwhile. Not for concurrent use.
type Store struct {
	path string
	lock *lockFile
	// MaxBytes of records and MaxChanges are the bounds.
	MaxBytes   int
	MaxChanges int
	// Last is when a recorder was last at work on this store before this one,
	// zero when none was; Before is the last record that it left.
	Last   time.Time
	Before *Change
}

// Create opens the store of a namespace for writing, and makes it when it is
// not there. ErrLocked: somebody else writes it.
func Create(dir string, n host.NetnsID) (*Store, error) {
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, fmt.Errorf("state directory: %w", pathless(err))
	}
	s := &Store{path: Path(dir, n), MaxBytes: DefaultMaxBytes, MaxChanges: DefaultMaxChanges}
	lock, last, err := takeLock(s.path + ".lock")
	if err != nil {
		return nil, err
	}
	s.lock, s.Last = lock, last
	err = s.update(func(tx *bolt.Tx) error {
		if _, v := tx.Bucket(bucketChanges).Cursor().Last(); v != nil {
			s.Before = new(Change)
			return json.Unmarshal(v, s.Before)
		}
		return nil
	})
	if err != nil {
		lock.release()
		return nil, err
	}
	return s, nil
}

// pathless keeps the path of an error of the file system and drops its call.
func pathless(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return fmt.Errorf("%s: %w", pe.Path, pe.Err)
	}
	return err
}

// Path is the store's file.
func (s *Store) Path() string { return s.path }

// Alive notes that the recorder is at work: what is not in the store did not
// happen until now.
func (s *Store) Alive(now time.Time) error { return s.lock.touch(now) }

// Close gives the store free for another writer.
func (s *Store) Close() { s.lock.release() }

// update runs f inside one transaction that is synced to the disk, or has no
// effect.
func (s *Store) update(f func(*bolt.Tx) error) error {
	return guarded(s.path, func() error {
		db, err := bolt.Open(s.path, fileMode, &bolt.Options{Timeout: writePatience, FreelistType: bolt.FreelistMapType})
		if err != nil {
			return err
		}
		err = db.Update(func(tx *bolt.Tx) error {
			if err := prepare(tx); err != nil {
				return err
			}
			return f(tx)
		})
		return errors.Join(err, db.Close())
	})
}

// guarded turns what bbolt makes of a damaged file, panics and faults of the
// mapping, into an error.
func guarded(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("store %s: damaged: %v", path, r)
		}
	}()
	switch err = f(); {
	case err == nil:
		return nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("store %s: another process holds it", path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("store %s: %w", path, fs.ErrPermission)
	}
	return fmt.Errorf("store %s: %w", path, err)
}

// prepare makes the buckets, and refuses records of another version.
func prepare(tx *bolt.Tx) error {
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucketIfNotExists(bucketChanges); err != nil {
		return err
	}
	if meta.Get(keyVersion) == nil {
		return meta.Put(keyVersion, number(Version))
	}
	return checkVersion(meta)
}

func checkVersion(meta *bolt.Bucket) error {
	if v := numberAt(meta, keyVersion); v != Version {
		return fmt.Errorf("its records are of version %d, this program knows %d", v, Version)
	}
	return nil
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func numberAt(b *bolt.Bucket, key []byte) uint64 {
	if v := b.Get(key); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// Append numbers the changes and writes them in one transaction: all of them
// are there afterwards, or none.
func (s *Store) Append(changes ...*Change) error {
	return s.update(func(tx *bolt.Tx) error {
		meta, b := tx.Bucket(bucketMeta), tx.Bucket(bucketChanges)
		b.FillPercent = fill
		seq := uint64(0)
		if k, _ := b.Cursor().Last(); len(k) == 8 {
			seq = binary.BigEndian.Uint64(k)
		}
		seq = max(seq, numberAt(meta, keyDropped))
		held := numberAt(meta, keyBytes)
		for _, c := range changes {
			seq++
			c.V, c.Seq = Version, seq
			v, err := json.Marshal(c)
			if err != nil {
				return err
			}
			if err := b.Put(number(seq), v); err != nil {
				return err
			}
			held += uint64(len(v))
		}
		return s.trim(meta, b, seq, held)
	})
}

// trim drops the oldest records until the rest is within the bounds; the last
// one stays.
func (s *Store) trim(meta, b *bolt.Bucket, last, held uint64) error {
	c := b.Cursor()
	dropped := numberAt(meta, keyDropped)
	for k, v := c.First(); len(k) == 8; k, v = c.First() {
		seq := binary.BigEndian.Uint64(k)
		if seq == last || held <= uint64(s.MaxBytes) && last-seq < uint64(s.MaxChanges) {
			break
		}
		held -= min(held, uint64(len(v)))
		dropped = seq // all before it are gone already
		if err := c.Delete(); err != nil {
			return err
		}
	}
	if err := meta.Put(keyDropped, number(dropped)); err != nil {
		return err
	}
	return meta.Put(keyBytes, number(held))
}

// History is what a store held when it was read.
type History struct {
	Path string
	// Changes by number, oldest first.
	Changes []*Change
	// Dropped is how many older records made room for newer ones.
	Dropped uint64
	// Alive is when the recorder was last known to be at work; Recording tells
	// whether it still is.
	Alive     time.Time
	Recording bool
	// Damaged is how many records could not be read.
	Damaged int

	index *causeIndex // made when first asked
}

// Read takes the records of a namespace into memory. ErrNoStore when there
// are none.
func Read(dir string, n host.NetnsID) (*History, error) {
	h := &History{Path: Path(dir, n)}
	if _, err := os.Stat(h.Path); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoStore
	}
	err := guarded(h.Path, func() error {
		db, err := bolt.Open(h.Path, fileMode, &bolt.Options{Timeout: readPatience, ReadOnly: true})
		if err != nil {
			return err
		}
		return errors.Join(db.View(h.load), db.Close())
	})
	if err != nil {
		return nil, err
	}
	h.Alive, h.Recording = lockState(h.Path + ".lock")
	return h, nil
}

func (h *History) load(tx *bolt.Tx) error {
	meta, b := tx.Bucket(bucketMeta), tx.Bucket(bucketChanges)
	if meta == nil || b == nil {
		return nil // made, and nothing written yet
	}
	if err := checkVersion(meta); err != nil {
		return err
	}
	h.Dropped = numberAt(meta, keyDropped)
	last := uint64(0)
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		change := new(Change)
		if len(k) != 8 || binary.BigEndian.Uint64(k) <= last {
			return errors.New("its records are out of order")
		}
		last = binary.BigEndian.Uint64(k)
		if json.Unmarshal(v, change) != nil || change.Seq != last || change.V != Version {
			h.Damaged++
			continue
		}
		h.Changes = append(h.Changes, change)
	}
	return nil
}
