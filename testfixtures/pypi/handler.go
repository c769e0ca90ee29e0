package pypi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

// ServeHTTP answers /simple/, /simple/NAME/, /files/FILE and
// /files/FILE.metadata.
func (x *Index) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &counter{ResponseWriter: w, status: http.StatusOK}
	defer x.record(r, c) // also when a fault cuts the connection
	if x.refused(c, r) {
		return
	}
	fault := x.fault(r.URL.Path)
	if fault == nil {
		x.route(c, r)
		return
	}
	fault.serve(c, r, x.route)
}

func (x *Index) record(r *http.Request, c *counter) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.requests = append(x.requests, Request{
		Method: r.Method, Path: r.URL.Path, Accept: r.Header.Get("Accept"), Range: r.Header.Get("Range"), Status: c.status, Body: c.body,
	})
}

// refused asks for name and password when the index has them.
func (x *Index) refused(w http.ResponseWriter, r *http.Request) bool {
	if x.User == "" {
		return false
	}
	if user, password, ok := r.BasicAuth(); ok && user == x.User && password == x.Password {
		return false
	}
	w.Header().Set("WWW-Authenticate", `Basic realm="index"`)
	http.Error(w, "name and password, please", http.StatusUnauthorized)
	return true
}

func (x *Index) route(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	switch path := r.URL.Path; {
	case path == "/simple" || path == "/simple/":
		x.serveSimple(w, r, "")
	case strings.HasPrefix(path, "/simple/"):
		x.serveSimple(w, r, strings.TrimPrefix(path, "/simple/"))
	case strings.HasPrefix(path, "/files/"):
		x.serveFile(w, r, strings.TrimPrefix(path, "/files/"))
	default:
		http.NotFound(w, r)
	}
}

// serveSimple answers the list of projects, for the empty name, or of a
// project's files. Names that are not normalised, or without a slash at the
// end, are redirected (PEP 503).
func (x *Index) serveSimple(w http.ResponseWriter, r *http.Request, name string) {
	want := "/simple/"
	project := normalised(strings.TrimSuffix(name, "/"))
	if project != "" {
		want += project + "/"
	}
	if r.URL.Path != want {
		http.Redirect(w, r, want, http.StatusMovedPermanently)
		return
	}
	files := x.project(project)
	if project != "" && len(files) == 0 {
		http.NotFound(w, r)
		return
	}
	p := page{index: x, project: project, files: files}
	kind, ok := negotiate(r.Header.Get("Accept"), x.HTMLOnly)
	w.Header().Set("Vary", "Accept")
	if !ok {
		http.Error(w, "none of the types that Accept names", http.StatusNotAcceptable)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "max-age=600, public")
	body := p.html()
	if strings.HasSuffix(kind, "+json") {
		body = p.json()
	}
	serveBytes(w, r, body)
}

func (x *Index) serveFile(w http.ResponseWriter, r *http.Request, name string) {
	if wheel, ok := strings.CutSuffix(name, ".metadata"); ok && !x.NoMetadata {
		if f, err := x.file(wheel); err == nil && f.metadata != nil {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			serveBytes(w, r, f.metadata)
			return
		}
	}
	f, err := x.file(name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	data, err := f.content()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	if x.NoRanges {
		r.Header.Del("Range")
		w = &noRanges{w}
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	serveBytes(w, r, data)
}

// serveBytes answers with an entity tag, ranges and conditions.
func serveBytes(w http.ResponseWriter, r *http.Request, data []byte) {
	sum := sha256.Sum256(data)
	w.Header().Set("ETag", `"`+hex.EncodeToString(sum[:8])+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
}

// noRanges takes back the offer to answer ranges.
type noRanges struct{ http.ResponseWriter }

func (w *noRanges) WriteHeader(status int) {
	w.Header().Del("Accept-Ranges")
	w.ResponseWriter.WriteHeader(status)
}

// counter notes what was answered.
type counter struct {
	http.ResponseWriter
	status int
	body   int64
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.body += int64(n)
	return n, err
}

// Flush lets a fault send half an answer.
func (c *counter) Flush() {
	if f, ok := c.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}
