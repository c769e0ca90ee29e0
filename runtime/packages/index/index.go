// Package index reads a package index: the simple API as JSON (PEP 691) or HTML
// (PEP 503), metadata files (PEP 658, 714), yanked files (PEP 592) and
// requires-python. Everything is bounded, hashes are checked, and an answer is
// cached by its ETag.
package index

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/html"

	"blast.example/blast/runtime/packages/pep508"
)

// Bounds of what an index may send.
const (
	maxPage     = 32 << 20
	maxMetadata = 8 << 20
	maxWheel    = 2 << 30
	tries       = 3
)

// A File is one file of a project.
type File struct {
	Name           string
	URL            string
	SHA256         string // "" if the index gives none
	Size           int64
	RequiresPython string
	Yanked         string // reason; "" if not yanked
	MetadataSHA256 string
	HasMetadata    bool
}

// ErrNotFound means that no index knows the project.
var ErrNotFound = errors.New("no index has this project")

// A Client reads indexes. Allow is asked before any connection, redirects included.
type Client struct {
	Indexes []string // roots, the first one that has a project wins
	Allow   func(host string, port uint16) error
	Cache   *Cache // nil: no cache

	once sync.Once
	http *http.Client
}

func (c *Client) client() *http.Client {
	c.once.Do(func() {
		c.http = &http.Client{
			Timeout: 10 * time.Minute,
			CheckRedirect: func(req *http.Request, via []*http.Request) error {
				if len(via) >= 10 {
					return errors.New("more than 10 redirects")
				}
				if via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
					return errors.New("redirect from https to " + req.URL.Scheme)
				}
				return c.allowed(req.URL)
			},
		}
	})
	return c.http
}

// HostPort is where a URL leads.
func HostPort(u *url.URL) (string, uint16, error) {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || u.Hostname() == "" {
		return "", 0, fmt.Errorf("%s is no http or https URL with a host", u.Redacted())
	}
	return strings.ToLower(u.Hostname()), uint16(n), nil
}

func (c *Client) allowed(u *url.URL) error {
	host, port, err := HostPort(u)
	if err != nil || c.Allow == nil {
		return err
	}
	return c.Allow(host, port)
}

// Files lists a project's files on the first index that has it.
func (c *Client) Files(ctx context.Context, project string) ([]File, string, error) {
	for _, root := range c.Indexes {
		at := strings.TrimSuffix(root, "/") + "/" + pep508.NormalizeName(project) + "/"
		body, kind, final, err := c.get(ctx, at, maxPage, "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01")
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		base, err := url.Parse(final)
		if err != nil {
			return nil, "", err
		}
		files, err := parse(body, kind, base)
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", base.Redacted(), err)
		}
		return files, root, nil
	}
	return nil, "", fmt.Errorf("%s: %w", project, ErrNotFound)
}

func parse(body []byte, kind string, base *url.URL) ([]File, error) {
	media, _, err := mime.ParseMediaType(kind)
	if err != nil {
		return nil, fmt.Errorf("content type %q", kind)
	}
	switch media {
	case "application/vnd.pypi.simple.v1+json", "application/vnd.pypi.simple.latest+json", "application/json":
		return parseJSON(body, base)
	case "text/html", "application/vnd.pypi.simple.v1+html", "application/vnd.pypi.simple.latest+html":
		return parseHTML(body, base)
	}
	return nil, fmt.Errorf("content type %q is no package index: is the URL the simple API?", media)
}

// flexible is true, false, or a text or object that means true.
type flexible struct {
	set    bool
	text   string
	hashes map[string]string
}

func (f *flexible) UnmarshalJSON(b []byte) error {
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case bool:
		f.set = v
	case string:
		f.set, f.text = true, v
	case map[string]any:
		f.set, f.hashes = true, map[string]string{}
		for k, h := range v {
			if s, ok := h.(string); ok {
				f.hashes[k] = s
			}
		}
	}
	return nil
}

func parseJSON(body []byte, base *url.URL) ([]File, error) {
	var page struct {
		Meta struct {
			Version string `json:"api-version"`
		} `json:"meta"`
		Files []struct {
			Filename       string            `json:"filename"`
			URL            string            `json:"url"`
			Hashes         map[string]string `json:"hashes"`
			RequiresPython *string           `json:"requires-python"`
			Size           int64             `json:"size"`
			Yanked         flexible          `json:"yanked"`
			CoreMetadata   flexible          `json:"core-metadata"`
			DistMetadata   flexible          `json:"dist-info-metadata"`
		} `json:"files"`
	}
	if err := json.Unmarshal(body, &page); err != nil {
		return nil, fmt.Errorf("read project page: %w", err)
	}
	if v := page.Meta.Version; v != "" && !strings.HasPrefix(v, "1.") {
		return nil, fmt.Errorf("the index speaks API version %s, Blast speaks 1", v)
	}
	var out []File
	for _, f := range page.Files {
		u, err := base.Parse(f.URL)
		if err != nil {
			continue
		}
		file := File{Name: f.Filename, URL: u.String(), SHA256: strings.ToLower(f.Hashes["sha256"]), Size: f.Size}
		if f.RequiresPython != nil {
			file.RequiresPython = *f.RequiresPython
		}
		if f.Yanked.set {
			file.Yanked = f.Yanked.text
			if file.Yanked == "" {
				file.Yanked = "no reason given"
			}
		}
		meta := f.CoreMetadata
		if !meta.set {
			meta = f.DistMetadata
		}
		file.HasMetadata, file.MetadataSHA256 = meta.set, strings.ToLower(meta.hashes["sha256"])
		out = append(out, file)
	}
	return out, nil
}

func parseHTML(body []byte, base *url.URL) ([]File, error) {
	var out []File
	z := html.NewTokenizer(strings.NewReader(string(body)))
	for {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return nil, err
			}
			return out, nil
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if t.Data == "base" {
				if u, err := base.Parse(attr(t, "href")); err == nil {
					base = u
				}
			}
			if t.Data != "a" || attr(t, "href") == "" {
				continue
			}
			if f, ok := anchor(t, base); ok {
				out = append(out, f)
			}
		}
	}
}

func anchor(t html.Token, base *url.URL) (File, bool) {
	u, err := base.Parse(attr(t, "href"))
	if err != nil {
		return File{}, false
	}
	f := File{Name: path.Base(u.Path), RequiresPython: attr(t, "data-requires-python")}
	if name, sum, ok := strings.Cut(u.Fragment, "="); ok && name == "sha256" {
		f.SHA256 = strings.ToLower(sum)
	}
	u.Fragment = ""
	f.URL = u.String()
	for _, a := range t.Attr {
		switch a.Key {
		case "data-yanked":
			if f.Yanked = a.Val; f.Yanked == "" {
				f.Yanked = "no reason given"
			}
		case "data-core-metadata", "data-dist-info-metadata":
			f.HasMetadata = a.Val != "false"
			if name, sum, ok := strings.Cut(a.Val, "="); ok && name == "sha256" {
				f.MetadataSHA256 = strings.ToLower(sum)
			}
		}
	}
	return f, true
}

func attr(t html.Token, key string) string {
	for _, a := range t.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

// Metadata returns a wheel's METADATA: the file beside it if the index has one,
// else out of the wheel itself.
func (c *Client) Metadata(ctx context.Context, f File) ([]byte, error) {
	if f.HasMetadata {
		b, _, _, err := c.get(ctx, f.URL+".metadata", maxMetadata, "*/*")
		if err == nil {
			if f.MetadataSHA256 != "" && sum(b) != f.MetadataSHA256 {
				return nil, fmt.Errorf("%s.metadata has another hash than the index says: the index or the way to it is broken or tampered with", f.Name)
			}
			return b, nil
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, err
		}
	}
	b, _, _, err := c.get(ctx, f.URL, maxWheel, "*/*")
	if err != nil {
		return nil, err
	}
	if f.SHA256 != "" && sum(b) != f.SHA256 {
		return nil, fmt.Errorf("%s has another hash than the index says: the index or the way to it is broken or tampered with", f.Name)
	}
	return metadataOf(b)
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// get fetches a URL, with retries for what may pass.
func (c *Client) get(ctx context.Context, at string, limit int64, accept string) (body []byte, kind, final string, err error) {
	for try := range tries {
		if try > 0 {
			select {
			case <-ctx.Done():
				return nil, "", "", ctx.Err()
			case <-time.After(time.Duration(try) * 500 * time.Millisecond):
			}
		}
		var again bool
		body, kind, final, again, err = c.once1(ctx, at, limit, accept)
		if err == nil || !again {
			return body, kind, final, err
		}
	}
	return nil, "", "", err
}

func (c *Client) once1(ctx context.Context, at string, limit int64, accept string) (body []byte, kind, final string, again bool, err error) {
	u, err := url.Parse(at)
	if err != nil {
		return nil, "", "", false, fmt.Errorf("index URL: %w", err)
	}
	if err := c.allowed(u); err != nil {
		return nil, "", "", false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return nil, "", "", false, err
	}
	req.Header.Set("Accept", accept)
	req.Header.Set("User-Agent", "blast")
	old := c.Cache.load(at)
	if old != nil && old.ETag != "" {
		req.Header.Set("If-None-Match", old.ETag)
	}
	resp, err := c.client().Do(req)
	if err != nil {
		var denied interface{ Denied() }
		return nil, "", "", ctx.Err() == nil && !errors.As(err, &denied), err
	}
	defer func() { _ = resp.Body.Close() }()
	switch {
	case resp.StatusCode == http.StatusNotModified && old != nil:
		return old.Body, old.Kind, old.Final, false, nil
	case resp.StatusCode == http.StatusNotFound:
		return nil, "", "", false, ErrNotFound
	case resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden:
		return nil, "", "", false, fmt.Errorf("%s: %s", u.Redacted(), resp.Status)
	case resp.StatusCode != http.StatusOK:
		return nil, "", "", resp.StatusCode >= 500, fmt.Errorf("%s: %s", u.Redacted(), resp.Status)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, "", "", ctx.Err() == nil, fmt.Errorf("%s: %w", u.Redacted(), err)
	}
	if int64(len(body)) > limit {
		return nil, "", "", false, fmt.Errorf("%s: the answer is larger than %d MiB", u.Redacted(), limit>>20)
	}
	kind, final = resp.Header.Get("Content-Type"), resp.Request.URL.String()
	c.Cache.store(at, entry{ETag: resp.Header.Get("ETag"), Kind: kind, Final: final, Body: body})
	return body, kind, final, false, nil
}
