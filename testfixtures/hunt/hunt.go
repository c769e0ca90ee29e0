// Package hunt looks for a value that must be nowhere: in files, in what programs
// print, in the arguments and variables of every process; as it is and as it might have
// been written down.
package hunt

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // what somebody might have used
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A Quarry is one value and what it might look like.
type Quarry struct {
	Name  string
	looks []look
}

type look struct {
	how  string
	text []byte
}

// For makes a quarry of a value, which should be long and random.
func For(name, value string) Quarry {
	q := Quarry{Name: name}
	add := func(how string, text []byte) { q.looks = append(q.looks, look{how, text}) }
	add("as it is", []byte(value))
	add("in URL encoding", []byte(url.QueryEscape(value)))
	add("in URL path encoding", []byte(url.PathEscape(value)))
	add("quoted", bytes.Trim(strconv.AppendQuoteToASCII(nil, value), `"`))
	add("in hex", []byte(hex.EncodeToString([]byte(value))))
	add("in upper-case hex", bytes.ToUpper([]byte(hex.EncodeToString([]byte(value)))))
	add("in UTF-16", utf16(value))
	for before := range 3 { // what stands before it shifts the digits
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString([]byte(strings.Repeat("x", before) + value))
			add("in base64", []byte(text[4*((before+2)/3):len(text)-len(text)%4-4])) // without those that it shares
		}
	}
	one, two := sha1.Sum([]byte(value)), sha256.Sum256([]byte(value)) //nolint:gosec // see above
	for _, sum := range [][]byte{one[:], two[:]} {
		add("as a plain hash", []byte(hex.EncodeToString(sum)))
		add("as a plain hash", sum)
		add("as a plain hash", []byte(base64.RawStdEncoding.EncodeToString(sum)))
	}
	return q
}

func utf16(s string) []byte {
	var out []byte
	for _, b := range []byte(s) {
		out = append(out, b, 0)
	}
	return out
}

// In is how the value is in b; "" if it isn't.
func (q Quarry) In(b []byte) string {
	for _, l := range q.looks {
		if bytes.Contains(b, l.text) {
			return l.how
		}
	}
	return ""
}

// longest is how many bytes a look has at most.
func (q Quarry) longest() int {
	n := 0
	for _, l := range q.looks {
		n = max(n, len(l.text))
	}
	return n
}

// Files looks through all files below the paths, in their names and links, too, and
// returns where it is and how many were read. Of a sparse file the holes are skipped.
func (q Quarry) Files(paths ...string) (found []string, read int, err error) {
	for _, path := range paths {
		werr := filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it went while we looked
			}
			if err != nil {
				return err
			}
			how := q.In([]byte(path))
			switch {
			case d.Type()&fs.ModeSymlink != 0:
				to, _ := os.Readlink(path)
				how = q.In([]byte(to))
			case d.Type().IsRegular():
				read++
				if how, err = q.file(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
			if how != "" {
				found = append(found, path+" has "+q.Name+" "+how)
			}
			return nil
		})
		err = errors.Join(err, werr)
	}
	return found, read, err
}

func (q Quarry) file(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	keep := q.longest()
	buf := make([]byte, keep+1<<20)
	for at := int64(0); ; {
		data, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ESPIPE) {
			return "", nil // nothing but a hole; a namespace that is mounted there
		}
		if errors.Is(err, unix.EINVAL) {
			data = at // no holes here
		} else if err != nil {
			return "", err
		}
		n, err := f.ReadAt(buf, data)
		if how := q.In(buf[:n]); how != "" {
			return how, nil
		}
		if errors.Is(err, io.EOF) || n <= keep {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("read %s: %w", path, err)
		}
		at = data + int64(n-keep) // it may lie across
	}
}

// A Process that has the value among its arguments or variables.
type Process struct {
	PID  int
	Name string // comm(5)
	File string // cmdline or environ
	How  string
}

// Processes looks into all processes of the host that it may.
func (q Quarry) Processes() ([]Process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	var found []Process
	for _, dir := range dirs {
		for _, file := range []string{"cmdline", "environ"} {
			b, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil {
				continue // it ended
			}
			if how := q.In(b); how != "" {
				pid, _ := strconv.Atoi(filepath.Base(dir))
				comm, _ := os.ReadFile(filepath.Join(dir, "comm"))
				found = append(found, Process{pid, strings.TrimSpace(string(comm)), file, how})
			}
		}
	}
	slices.SortFunc(found, func(a, b Process) int { return a.PID - b.PID })
	return found, err
}
