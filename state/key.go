package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"blast.example/blast/state/backend/local"
)

// keyName is the file of the environment's key. It is in no record: what is shown,
// saved or taken elsewhere is nothing to go by without it.
const (
	keyName = "secrets.key"
	keySize = 32 // bytes
)

// ErrOtherKey means that the environment has another key by now.
var ErrOtherKey = errors.New("the environment got another key for its secrets meanwhile: plan again")

// Key is what the hashes of the environment's secrets are made with, or nil if it
// has none yet.
func (e Env) Key() ([]byte, error) {
	path := filepath.Join(e.Dir, keyName)
	key, err := local.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && len(key) != keySize {
		err = fmt.Errorf("%s has %d bytes, not %d; %s", path, len(key), keySize, another)
	}
	if fi, serr := os.Lstat(path); err == nil && serr == nil && fi.Mode().Perm()&0o077 != 0 {
		err = fmt.Errorf("%s may have been read by others; %s", path, another)
	}
	if err != nil {
		return nil, fmt.Errorf("read key of secrets: %w", err)
	}
	return key, nil
}

const another = "remove it, and the next apply makes another"

// KeepKey makes key the environment's, once and for all. Only the holder of the lock
// may. It is no error if it is so already; another one is ErrOtherKey.
func (e Env) KeepKey(key []byte) error {
	was, err := e.Key()
	switch {
	case err != nil:
		return err
	case bytes.Equal(was, key):
		return nil
	case was != nil:
		return ErrOtherKey
	case len(key) != keySize:
		return fmt.Errorf("keep key of secrets: it has %d bytes, not %d", len(key), keySize)
	}
	if err := e.store().MakeDirs(); err != nil {
		return err
	}
	if err := e.store().WithRoom(func() error { return local.Replace(filepath.Join(e.Dir, keyName), key) }); err != nil {
		return fmt.Errorf("keep key of secrets: %w", err)
	}
	return nil
}
