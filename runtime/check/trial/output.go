//go:build linux

package trial

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"blast.example/blast/runtime/process/secret/mask"
)

const (
	keptOutput = 64 << 10 // bytes: the end of what a check wrote
	shownLines = 20       // the last of them
	shownWidth = 200      // characters of each

	// lastWords is how long after the end of a check its output may take. All of it
	// is in the pipe by then; only a process that is still there keeps that open.
	lastWords = 200 * time.Millisecond
)

// An output is the end of what a command writes, read while it runs: a command that
// writes more than is kept must not wait for us.
type output struct {
	in, out *os.File // of a pipe: the command's end and ours
	read    sync.WaitGroup
	tail    tail
}

func newOutput() (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("catch output: %w", err)
	}
	o := &output{in: w, out: r}
	o.read.Go(func() { _, _ = o.tail.readFrom(r) })
	return o, nil
}

// last is what there is in the end. Nothing can be written any more.
func (o *output) last() tail {
	_ = o.in.Close()
	_ = o.out.SetReadDeadline(time.Now().Add(lastWords))
	o.read.Wait()
	return o.tail
}

func (o *output) close() {
	_ = o.in.Close()
	_ = o.out.Close()
	o.read.Wait()
}

// A tail is the last bytes of a stream.
type tail struct {
	kept []byte
	cut  bool // there was more before
}

func (t *tail) readFrom(f *os.File) (int64, error) {
	var total int64
	buf := make([]byte, 32<<10)
	for {
		n, err := f.Read(buf)
		t.add(buf[:n])
		if total += int64(n); err != nil {
			return total, err
		}
	}
}

func (t *tail) add(b []byte) {
	t.kept = append(t.kept, b...)
	if more := len(t.kept) - keptOutput; more > 0 {
		t.kept = append(t.kept[:0], t.kept[more:]...)
		t.cut = true
	}
}

// without is t without values of secrets. What lost its beginning to the bound may be
// the end of one, so the line that it is in goes.
func (t tail) without(values mask.Mask) tail {
	if _, whole, ok := bytes.Cut(t.kept, []byte("\n")); t.cut && ok {
		t.kept = whole
	}
	t.kept = []byte(values.Hide(string(t.kept)))
	return t
}

// lines are the last lines, made harmless: what a check writes must neither work on
// the terminal nor look like Blast's own words, so there is a bar before each.
func (t tail) lines() []string {
	all := strings.Split(string(bytes.TrimRight(t.kept, "\r\n\t ")), "\n")
	if len(all) == 1 && all[0] == "" {
		return nil
	}
	var out []string
	if more := len(all) - shownLines; more > 0 || t.cut {
		out = append(out, "| ...")
		all = all[max(more, 0):]
	}
	for _, l := range all {
		out = append(out, strings.TrimRight("| "+harmless(l), " "))
	}
	return out
}

// sequence is what sets colours and moves the cursor: ECMA-48, 5.4.
var sequence = regexp.MustCompile("\x1b\\[[0-?]*[ -/]*[@-~]")

// harmless is a line as a terminal would leave it behind, without what it does.
func harmless(l string) string {
	l = sequence.ReplaceAllString(strings.TrimRight(l, "\r"), "")
	if i := strings.LastIndexByte(l, '\r'); i >= 0 {
		l = l[i+1:] // progress that wrote over itself
	}
	clean := []rune(strings.Map(func(r rune) rune {
		if r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(l, "?")))
	if len(clean) > shownWidth {
		return string(clean[:shownWidth]) + "..."
	}
	return string(clean)
}
