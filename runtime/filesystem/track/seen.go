package track

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"time"

	"blast.example/blast/runtime/filesystem/access"
	"blast.example/blast/state"
)

// A memory knows in which folders which events happened in the life of an environment, for
// alerts that are about what is new. It is a file beside the state, as that has to outlive
// a reboot:
//
//	magic, the time when it began (8 bytes), a key (32 bytes), then 8 bytes for each event in a folder
//
// Those are the beginning of an HMAC with the key: a sandbox can't choose names that look
// like others.
type memory struct {
	file  *os.File
	since time.Time
	key   []byte
	known map[uint64]struct{}
	full  bool // that it is is told
}

// memoryFile is its name in the folder of the environment's records.
const memoryFile = "folders.seen"

const (
	memoryMagic = "blastsn1"
	memoryHead  = len(memoryMagic) + 8 + sha256.Size
	memoryEntry = 8
	// maxSeen bounds it. A sandbox that makes more folders than that makes it full: then
	// what is not in it counts as new each time.
	maxSeen = 65_536
)

var errMemory = errors.New("it is no memory of folders")

// openMemory goes on with the memory of an environment, or begins one. One that can't be
// read is begun anew: forgot says so.
func openMemory(env state.Env, now time.Time) (m *memory, forgot bool, err error) {
	dir, err := os.OpenRoot(env.Dir)
	if err != nil {
		return nil, false, fmt.Errorf("remember folders: %w", err)
	}
	defer func() { _ = dir.Close() }()
	f, err := dir.OpenFile(memoryFile, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, false, fmt.Errorf("remember folders: %w", err)
	}
	m = &memory{file: f}
	if err = m.read(); err != nil {
		fi, serr := f.Stat()
		forgot = serr == nil && fi.Size() > 0
		err = m.begin(now)
	}
	if err != nil {
		_ = f.Close()
		return nil, false, fmt.Errorf("remember folders: %w", err)
	}
	return m, forgot, nil
}

func (m *memory) read() error {
	b, err := io.ReadAll(io.LimitReader(m.file, int64(memoryHead+maxSeen*memoryEntry)))
	if err != nil {
		return err
	}
	if len(b) < memoryHead || !bytes.HasPrefix(b, []byte(memoryMagic)) {
		return errMemory
	}
	m.since = time.Unix(0, int64(binary.LittleEndian.Uint64(b[len(memoryMagic):])))
	m.key = b[len(memoryMagic)+8 : memoryHead]
	m.known = map[uint64]struct{}{}
	for b = b[memoryHead:]; len(b) >= memoryEntry; b = b[memoryEntry:] {
		m.known[binary.LittleEndian.Uint64(b)] = struct{}{}
	}
	if len(b) > 0 { // whoever wrote it died; what comes has to begin where an entry does
		return m.file.Truncate(int64(memoryHead + len(m.known)*memoryEntry))
	}
	return nil
}

func (m *memory) begin(now time.Time) error {
	m.since, m.key, m.known = now, make([]byte, sha256.Size), map[uint64]struct{}{}
	if _, err := rand.Read(m.key); err != nil {
		return err
	}
	head := append(binary.LittleEndian.AppendUint64([]byte(memoryMagic), uint64(now.UnixNano())), m.key...)
	if err := m.file.Truncate(0); err != nil {
		return err
	}
	_, err := m.file.Write(head)
	return err
}

func (m *memory) close() error { return m.file.Close() }

// folderOf is the folder that counts as touched.
func folderOf(x access.Access) string { return path.Dir(x.Path) }

// first remembers where an access was, and reports whether that is new.
func (m *memory) first(x access.Access) bool {
	h := hmac.New(sha256.New, m.key)
	_, _ = h.Write([]byte(x.Op + "\x00" + folderOf(x)))
	k := binary.LittleEndian.Uint64(h.Sum(nil))
	if _, ok := m.known[k]; ok {
		return false
	}
	if len(m.known) < maxSeen {
		m.known[k] = struct{}{}
		_, _ = m.file.Write(binary.LittleEndian.AppendUint64(nil, k)) // one that is lost is new again
	}
	return true
}

// nowFull reports, once, that nothing more is remembered.
func (m *memory) nowFull() bool {
	if m.full || len(m.known) < maxSeen {
		return false
	}
	m.full = true
	return true
}

// forget removes the memory.
func forget(env state.Env) error {
	dir, err := os.OpenRoot(env.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("forget folders: %w", err)
	}
	defer func() { _ = dir.Close() }()
	if err := dir.Remove(memoryFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget folders: %w", err)
	}
	return nil
}
