// Package layer turns the files of a writable layer into a tar archive and back.
//
// There is one archive for the same files: entries are sorted, a folder before
// what is in it; owners are left out, as all that is in a layer belongs to one
// person; times are the files' own. So an archive can be checked while it
// streams, with no memory of what came before but the folders around:
//
//   - names are relative, in their shortest form, in order, so none comes twice;
//   - what an entry lies in is a folder that came before it: nothing is written
//     through a link;
//   - there are regular files, folders, symbolic links, FIFOs, hard links to what
//     came before, and overlayfs's whiteouts (character device 0:0), nothing else;
//   - setuid and setgid bits of files are not kept, nor are extended attributes
//     other than user.*, and overlayfs's mark of an opaque folder: in a sandbox they mean nothing (it is mounted nosuid), and
//     elsewhere they must not.
//
// Sockets are left out: nobody listens behind them any more.
//
// # Holes
//
// archive/tar can't write sparse files. A file with holes has the PAX record
// BLAST.sparse, which holds its size, and as its content lines with the number
// of stretches, and offset and length of each, and then the data of those.
package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"time"
)

// Bounds of an archive. A layer of the default size has room for 330 000 files.
const (
	maxEntries   = 4 << 20
	maxPath      = 4000 // PATH_MAX is 4096, with what a caller puts before it
	maxComponent = 255  // NAME_MAX
	maxDepth     = 200
	maxFile      = 16 << 40 // bytes, of ext4
	maxAttrs     = 64 << 10 // bytes of extended attributes of a file
	maxStretches = 1 << 20
	maxLink      = 4095 // PATH_MAX, without the final NUL
)

// Names of PAX records.
const (
	sparseRecord = "BLAST.sparse"
	attrPrefix   = "SCHILY.xattr."
	userPrefix   = "user."

	// opaqueAttr says of a folder that overlayfs shows nothing of what lies below it. No other value
	// than "y" is kept, and nothing else of overlayfs's: it could lead a reader elsewhere.
	opaqueAttr, opaqueValue = "trusted.overlay.opaque", "y"
)

// Stats counts what was packed, unpacked or checked.
type Stats struct {
	Entries int64
	Bytes   int64 // of regular files, without holes
	Sockets int64 // left out
}

// An Entry is one name in an archive.
type Entry struct {
	Name string // relative, clean
	Kind Kind
	Mode fs.FileMode // permission bits; of a folder also setgid and sticky
	Time time.Time
	Size int64  // of a regular file, with holes
	Link string // where a symbolic link leads, or the name that a hard link has, too

	Attrs map[string]string // extended attributes, user.*

	stored int64 // bytes of content in the archive
	sparse bool
}

// Kind is what an entry is.
type Kind byte

// The kinds, as archive/tar has them.
const (
	File     Kind = tar.TypeReg
	Folder   Kind = tar.TypeDir
	Symlink  Kind = tar.TypeSymlink
	Hardlink Kind = tar.TypeLink
	FIFO     Kind = tar.TypeFifo
	Whiteout Kind = tar.TypeChar
)

// A RefusedError is an archive that could do harm, or is none of a layer.
type RefusedError struct {
	Name string // of the entry
	Why  string
}

func (e *RefusedError) Error() string {
	if e.Name == "" {
		return "the layer is refused: " + e.Why
	}
	return fmt.Sprintf("the layer is refused: %q %s", e.Name, e.Why)
}

func refuse(name, why string, args ...any) error {
	return &RefusedError{name, fmt.Sprintf(why, args...)}
}

// entryOf reads a header that may be a stranger's.
func entryOf(h *tar.Header) (Entry, error) {
	e := Entry{Name: strings.TrimSuffix(h.Name, "/"), Kind: Kind(h.Typeflag), Time: h.ModTime, Link: h.Linkname, Size: h.Size, stored: h.Size}
	if err := checkName(e.Name); err != nil {
		return e, err
	}
	if h.Format&(tar.FormatPAX|tar.FormatUSTAR) == 0 {
		return e, refuse(e.Name, "is not written in the format of POSIX")
	}
	if (e.Kind == Folder) != strings.HasSuffix(h.Name, "/") {
		return e, refuse(e.Name, "has a name that says something else than its type")
	}
	if err := e.kind(h); err != nil {
		return e, err
	}
	mode := h.FileInfo().Mode()
	e.Mode = mode & keptBits(e.Kind)
	if err := e.records(h); err != nil {
		return e, err
	}
	return e, e.bounds()
}

// keptBits are those of a mode that mean something in a sandbox.
func keptBits(k Kind) fs.FileMode {
	if k == Folder {
		return fs.ModePerm | fs.ModeSetgid | fs.ModeSticky
	}
	return fs.ModePerm
}

// kind checks what is special of each.
func (e *Entry) kind(h *tar.Header) error {
	if e.Kind != File && h.Size != 0 {
		return refuse(e.Name, "has content and is no regular file")
	}
	if !strings.Contains(e.Name, "/") && e.Kind != Folder {
		return refuse(e.Name, "lies at the top, where only folders do")
	}
	switch e.Kind {
	case File, Folder, FIFO:
		e.Link = ""
	case Symlink, Hardlink:
		return e.link()
	case Whiteout:
		if h.Devmajor != 0 || h.Devminor != 0 {
			return refuse(e.Name, "is a device, %d:%d", h.Devmajor, h.Devminor)
		}
	default:
		return refuse(e.Name, "is of type %q: a layer has files, folders, links and FIFOs", string(rune(h.Typeflag)))
	}
	return nil
}

// link checks where a link leads. A symbolic one may lead anywhere: nobody follows
// it but who is in the sandbox.
func (e *Entry) link() error {
	if e.Kind == Symlink {
		if e.Link == "" || len(e.Link) > maxLink || strings.Contains(e.Link, "\x00") {
			return refuse(e.Name, "is a link that leads nowhere")
		}
		return nil
	}
	if err := checkName(e.Link); err != nil {
		return err
	}
	if Compare(e.Link, e.Name) >= 0 {
		return refuse(e.Name, "is a hard link to %q, which doesn't come before it", e.Link)
	}
	return nil
}

// records reads the extended headers.
func (e *Entry) records(h *tar.Header) error {
	total := 0
	for key, value := range h.PAXRecords {
		total += len(key) + len(value)
		name, isAttr := strings.CutPrefix(key, attrPrefix)
		switch {
		case isAttr:
			if err := e.attr(name, value); err != nil {
				return err
			}
		case key == sparseRecord && e.Kind == File:
			n, err := number(value)
			if err != nil {
				return refuse(e.Name, "has a malformed size")
			}
			e.Size, e.sparse = n, true
		case key != "path" && key != "linkpath" && key != "size" && key != "mtime":
			return refuse(e.Name, "has the record %q, which is unknown", key)
		}
	}
	if total > maxAttrs {
		return refuse(e.Name, "has more than %d KiB of extended attributes", maxAttrs>>10)
	}
	return nil
}

func (e *Entry) attr(name, value string) error {
	opaque := e.Kind == Folder && name == opaqueAttr && value == opaqueValue
	if !opaque && e.unkept(name) {
		return refuse(e.Name, "has the extended attribute %q, and only user.* of files and folders are kept", name)
	}
	if e.Attrs == nil {
		e.Attrs = map[string]string{}
	}
	e.Attrs[name] = value
	return nil
}

func (e *Entry) unkept(name string) bool {
	return e.Kind != File && e.Kind != Folder || len(name) > maxComponent || len(name) <= len(userPrefix) || !strings.HasPrefix(name, userPrefix)
}

// number reads what strconv.FormatInt writes, and not below 0.
func number(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("%.20q is no number", text)
	}
	return n, nil
}

func (e *Entry) bounds() error {
	switch {
	case e.Size < 0 || e.Size > maxFile || e.stored < 0:
		return refuse(e.Name, "has %d bytes, and at most %d TiB are possible", e.Size, int64(maxFile)>>40)
	case e.Time.Unix() < math.MinInt32 || e.Time.Unix() > 1<<34-1<<31-1: // what ext4 can hold
		return refuse(e.Name, "has a time that no file has")
	}
	return nil
}

// checkName lets through a relative name in its shortest form.
func checkName(name string) error {
	shown := name
	if len(shown) > 100 {
		shown = shown[:100] + "..."
	}
	switch {
	case name == "" || name == "." || path.IsAbs(name) || path.Clean(name) != name || name == ".." || strings.HasPrefix(name, "../"):
		return refuse(shown, "is no relative name in its shortest form")
	case strings.Contains(name, "\x00"):
		return refuse(shown, "holds a NUL")
	case len(name) > maxPath || strings.Count(name, "/") >= maxDepth:
		return refuse(shown, "is longer than %d bytes, or lies deeper than %d folders", maxPath, maxDepth)
	}
	for part := range strings.SplitSeq(name, "/") {
		if len(part) > maxComponent {
			return refuse(shown, "has a part of more than %d bytes", maxComponent)
		}
	}
	return nil
}

// Compare is the order of an archive: by parts, bytewise, a folder before what is
// in it.
func Compare(a, b string) int {
	for {
		pa, ra, moreA := strings.Cut(a, "/")
		pb, rb, moreB := strings.Cut(b, "/")
		if c := strings.Compare(pa, pb); c != 0 {
			return c
		}
		switch {
		case !moreA && !moreB:
			return 0
		case !moreA:
			return -1
		case !moreB:
			return 1
		}
		a, b = ra, rb
	}
}

// order checks that entries come in order and lie in folders that came before.
type order struct {
	last    string
	folders []string // the open ones, the outermost first
	n       int64
}

func (o *order) next(e Entry) error {
	if o.n++; o.n > maxEntries {
		return refuse("", "it has more than %d entries", maxEntries)
	}
	if o.last != "" && Compare(o.last, e.Name) >= 0 {
		return refuse(e.Name, "comes after %q, and entries have to be in order", o.last)
	}
	o.last = e.Name
	for len(o.folders) > 0 && !strings.HasPrefix(e.Name, o.folders[len(o.folders)-1]+"/") {
		o.folders = o.folders[:len(o.folders)-1]
	}
	parent := path.Dir(e.Name)
	if parent != "." && (len(o.folders) == 0 || o.folders[len(o.folders)-1] != parent) {
		return refuse(e.Name, "lies in %q, which is no folder that came before it", parent)
	}
	if e.Kind == Folder {
		o.folders = append(o.folders, e.Name)
	}
	return nil
}

// errTooLarge is an archive that goes on after the size that was promised.
var errTooLarge = errors.New("it is larger than its manifest says")
