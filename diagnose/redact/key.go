package redact

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"time"
)

// Keys is a key file: the key, what each use of it had to keep, and the names
// behind the tokens. Who has it can undo the redaction, so it stays with the
// owner, outside of bundles.
//
// Each use keeps what the ones before kept, so that a use that asks for nothing
// new maps as the last one did. One that asks for more maps some addresses
// otherwise: Use tells them apart.
type Keys struct {
	// Warning says that others may read the file; "" when they may not.
	Warning string

	key   Key
	uses  []keyUse
	names map[string]Name // by token
}

type keyUse struct {
	at time.Time
	c  *Constraints
}

// ErrKeys: a file is no key file, or one of a newer format.
var ErrKeys = errors.New("not a key file of ntdiag")

const (
	keysVersion = 1
	maxKeysSize = 1 << 30
)

// NewKeys makes a key. Of some tries it takes that which maps the fewest of the
// addresses, if any are given, to others of them: what is an address of the
// network then is less often what another became.
func NewKeys(c *Constraints, addrs []netip.Addr) (*Keys, error) {
	const tries, enough = 8, 20000
	addrs = addrs[:min(len(addrs), enough)]
	var best Key
	least := -1
	for range tries {
		var key Key
		if _, err := rand.Read(key[:]); err != nil {
			return nil, fmt.Errorf("random key: %w", err)
		}
		n := 0
		if len(addrs) > 0 {
			n = coincidences(New(key, c), addrs)
		}
		if least < 0 || n < least {
			best, least = key, n
		}
		if least == 0 {
			break
		}
	}
	return &Keys{key: best, names: map[string]Name{}}, nil
}

func coincidences(m *Mapper, addrs []netip.Addr) int {
	for _, a := range addrs {
		m.Addr(a.WithZone(""))
	}
	return int(m.Seen().Ambiguous)
}

// Mapper makes a Mapper for what is to be redacted now, and tells which use of
// the key it is, from 1 on.
func (k *Keys) Mapper(c *Constraints) (*Mapper, int) {
	all := &Constraints{}
	if n := len(k.uses); n > 0 {
		all.Add(k.uses[n-1].c)
	}
	before := all.size()
	if c != nil {
		all.Add(c)
	}
	if len(k.uses) == 0 || all.size() != before {
		k.uses = append(k.uses, keyUse{time.Now().UTC().Truncate(time.Second), all})
	}
	return k.Use(len(k.uses)), len(k.uses)
}

// Key is the key.
func (k *Keys) Key() Key { return k.key }

// Uses is how many there were, and so the number of the last.
func (k *Keys) Uses() int { return len(k.uses) }

// At is when a use was the first time.
func (k *Keys) At(n int) time.Time { return k.uses[n-1].at }

// Use is the Mapper of a use, from 1 to Uses.
func (k *Keys) Use(n int) *Mapper {
	m := New(k.key, k.uses[n-1].c)
	for token, name := range k.names {
		m.names.learn(token, name)
		if m.names.tokens[name] == token {
			m.words.add(name.Kind, name.Text, token)
		}
	}
	return m
}

// Learn takes the names over that a Mapper met.
func (k *Keys) Learn(m *Mapper) {
	for token, name := range m.names.back {
		k.names[token] = name
	}
}

// learn takes a token that was given before. One that does not fit the prefixes
// of devices that rules look at now is only for the way back.
func (n *names) learn(token string, name Name) {
	n.back[token] = name
	n.found.putBack(name.Kind, token, name.Text)
	if isKnown(name.Kind, name.Text) || name.Kind == Device && (!n.devices.fits(name.Text, token) || n.devices.isPrefix(token)) {
		return
	}
	if old, has := n.tokens[name]; !has || token < old {
		n.tokens[name] = token
	}
}

// keysFile is what a key file holds.
type keysFile struct {
	Version int         `json:"version"`
	Key     string      `json:"key"`
	Uses    []usesFile  `json:"uses,omitempty"`
	Names   []nameEntry `json:"names,omitempty"`
}

type usesFile struct {
	At          time.Time    `json:"at"`
	Constraints *Constraints `json:"constraints"`
}

type nameEntry struct {
	Token string `json:"token"`
	Kind  string `json:"kind"`
	Name  []byte `json:"name"` // base64: names are bytes
}

// ReadKeys reads a key file. The error is ErrKeys for what is none, and tells
// what is wrong with it; fs.ErrNotExist where there is nothing.
func ReadKeys(path string) (*Keys, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeysSize {
		return nil, fmt.Errorf("%s: %w", path, ErrKeys)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if mode := info.Mode().Perm(); runtime.GOOS != "windows" && mode&0o077 != 0 {
		k.Warning = fmt.Sprintf("%s: others may read the key (mode %04o): chmod 600 %s", path, mode, path)
	}
	return k, nil
}

func parseKeys(text []byte) (*Keys, error) {
	var f keysFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKeys, err)
	}
	if f.Version > keysVersion {
		return nil, fmt.Errorf("%w: format %d is newer than this program, which reads up to %d", ErrKeys, f.Version, keysVersion)
	}
	k := &Keys{names: map[string]Name{}}
	key, err := hex.DecodeString(f.Key)
	if f.Version < 1 || err != nil || len(key) != len(k.key) {
		return nil, fmt.Errorf("%w: no key of %d hexadecimal digits", ErrKeys, 2*len(k.key))
	}
	copy(k.key[:], key)
	for i, u := range f.Uses {
		if u.Constraints == nil {
			return nil, fmt.Errorf("%w: use %d has no constraints", ErrKeys, i+1)
		}
		k.uses = append(k.uses, keyUse{u.At, u.Constraints})
	}
	for _, n := range f.Names {
		kind, ok := kindNamed(n.Kind)
		if !ok || n.Token == "" || len(n.Name) == 0 {
			return nil, fmt.Errorf("%w: token %q of kind %q", ErrKeys, n.Token, n.Kind)
		}
		k.names[n.Token] = Name{kind, string(n.Name)}
	}
	return k, nil
}

// Save writes the file, for its owner alone, and all of it or nothing. What was
// there is replaced.
func (k *Keys) Save(path string) error {
	text, err := k.text()
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s: not a file", path)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return err
	}
	return nil
}

func (k *Keys) text() ([]byte, error) {
	f := keysFile{Version: keysVersion, Key: hex.EncodeToString(k.key[:])}
	for _, u := range k.uses {
		f.Uses = append(f.Uses, usesFile{u.at, u.c})
	}
	for _, token := range sortedKeys(k.names, func(a, b string) int { return bytes.Compare([]byte(a), []byte(b)) }) {
		n := k.names[token]
		f.Names = append(f.Names, nameEntry{token, n.Kind.String(), []byte(n.Text)})
	}
	text, err := json.MarshalIndent(f, "", "\t")
	return append(text, '\n'), err
}
