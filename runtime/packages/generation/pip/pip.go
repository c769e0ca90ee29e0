// Package pip holds Blast's own pip: it shows what an environment has, as pip does,
// and says how to change it, which pip can't do here. People and programs that type
// "pip install" out of habit learn which line of blast.hcl does that.
//
// It is Python, in src, for 3.8 and later, and is installed where no project of the
// environment is called pip.
package pip

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed src/*.py
var sources embed.FS

// version is what the wheel is called, and no version of pip.
const version = "0"

// Wheel packs Blast's pip as a wheel with launchers for a Python, such as "3.11",
// and returns its file name and content. The same Python gives the same bytes.
func Wheel(python string) (name string, content []byte) {
	info := "pip-" + version + ".dist-info/"
	files := map[string]string{}
	order := []string{}
	add := func(name, content string) { files[name] = content; order = append(order, name) }
	matches, _ := fs.Glob(sources, "src/*.py") // the pattern is fine, and so is the order
	for _, m := range matches {
		b, _ := sources.ReadFile(m) // it was just listed
		add("pip/"+path.Base(m), string(b))
	}
	add(info+"METADATA", "Metadata-Version: 2.1\nName: pip\nVersion: "+version+"\n")
	add(info+"WHEEL", "Wheel-Version: 1.0\nGenerator: blast\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
	add(info+"entry_points.txt", "[console_scripts]\npip = pip:main\npip3 = pip:main\npip"+python+" = pip:main\n")
	var record strings.Builder
	for _, name := range order {
		sum := sha256.Sum256([]byte(files[name]))
		fmt.Fprintf(&record, "%s,sha256=%s,%d\n", name, base64.RawURLEncoding.EncodeToString(sum[:]), len(files[name]))
	}
	add(info+"RECORD", record.String()+info+"RECORD,,\n")
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, name := range order {
		w, err := z.Create(name)
		if err == nil { // a buffer takes every write
			_, _ = w.Write([]byte(files[name]))
		}
	}
	_ = z.Close()
	return "pip-" + version + "-py3-none-any.whl", out.Bytes()
}
