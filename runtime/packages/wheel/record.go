package wheel

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
)

// record is RECORD by path.
type record map[string]row

type row struct {
	algorithm string // "" for the files that can't have a hash
	sum       []byte
	size      int64 // -1 is not given
}

// of returns what RECORD says about a file; of one that needs no row, nothing.
func (rec record) of(name string) row {
	if w, ok := rec[name]; ok {
		return w
	}
	return row{size: -1}
}

// algorithms are those that the format allows: sha256 or better. Nobody else's
// guarantee is asked for than that of the whole file's own hash.
var algorithms = map[string]func() hash.Hash{"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New}

// unhashed are the files of .dist-info that need no hash: RECORD itself and the
// signatures of it that were once foreseen.
func unhashed(info string) []string {
	return []string{info + "/RECORD", info + "/RECORD.jws", info + "/RECORD.p7s"}
}

func (a *archive) record(info string) (record, error) {
	b, ok, err := a.text(info + "/RECORD")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errors.New("it has no RECORD")
	}
	rec := record{}
	r := csv.NewReader(bytes.NewReader(b))
	r.FieldsPerRecord = -1
	r.ReuseRecord = true
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return rec, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read RECORD: %w", err)
		}
		if err := rec.add(fields, unhashed(info)); err != nil {
			return nil, fmt.Errorf("RECORD: %w", err)
		}
	}
}

func (rec record) add(fields []string, unhashed []string) error {
	if len(fields) != 3 {
		return fmt.Errorf("%q has %d fields, not 3", clip(fields[0]), len(fields))
	}
	name := fields[0]
	if _, twice := rec[name]; twice {
		return fmt.Errorf("%q is there twice", clip(name))
	}
	w := row{size: -1}
	if fields[2] != "" {
		n, err := strconv.ParseInt(fields[2], 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("%q has size %q", clip(name), clip(fields[2]))
		}
		w.size = n
	}
	if fields[1] != "" || !slices.Contains(unhashed, name) {
		var err error
		if w.algorithm, w.sum, err = parseHash(fields[1]); err != nil {
			return fmt.Errorf("%q: %w", clip(name), err)
		}
	}
	rec[name] = w
	return nil
}

// parseHash reads "sha256=…" with the hash in URL-safe base64 without padding.
func parseHash(s string) (algorithm string, sum []byte, err error) {
	algorithm, text, _ := strings.Cut(s, "=")
	newHash := algorithms[algorithm]
	if newHash == nil {
		return "", nil, fmt.Errorf("%q is no hash of at least sha256", clip(s))
	}
	sum, err = base64.RawURLEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(sum) != newHash().Size() {
		return "", nil, fmt.Errorf("%q is no %s", clip(s), algorithm)
	}
	return algorithm, sum, nil
}

// matches holds the list of files against RECORD: each is in both.
func (a *archive) matches(rec record, info string) error {
	for name := range rec {
		if a.byName[name] == nil {
			return fmt.Errorf("RECORD lists %q, which is not there", clip(name))
		}
	}
	for _, f := range a.files {
		if _, ok := rec[f.Name]; !ok && !slices.Contains(unhashed(info), f.Name) {
			return fmt.Errorf("%q is there, but RECORD doesn't list it", clip(f.Name))
		}
	}
	return nil
}

// newRecord writes the RECORD of an installed project. Paths are relative to
// site-packages, bytecode isn't listed: who removes a module removes that, too.
func newRecord(files []File, site, info string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	for _, f := range files {
		sum, _ := hex.DecodeString(f.SHA256) // our own
		_ = w.Write([]string{fromSite(f.Path, site), "sha256=" + base64.RawURLEncoding.EncodeToString(sum), strconv.FormatInt(f.Size, 10)})
	}
	_ = w.Write([]string{fromSite(info+"/RECORD", site), "", ""})
	w.Flush()
	return b.Bytes() // a buffer takes every write
}

// fromSite rewrites a path that is relative to the virtual environment.
func fromSite(path, site string) string {
	if rest, ok := strings.CutPrefix(path, site+"/"); ok {
		return rest
	}
	return strings.Repeat("../", strings.Count(site, "/")+1) + path
}
