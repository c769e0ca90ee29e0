package index

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"blast.example/blast/runtime/packages/pep508"
)

// Bounds of what an index may send, in bytes.
const (
	maxPage     = 32 << 20
	maxMetadata = 8 << 20
	maxWheel    = 2 << 30
)

// ErrNotFound means that no index knows the project.
var ErrNotFound = errors.New("no index has this project")

// A Client reads indexes. Its methods may be called at the same time.
type Client struct {
	// Roots are the indexes that are asked for a project, by its normalised name: the
	// first one that has it wins.
	Roots func(project string) []string

	// Allow is asked before any connection, redirects included; nil allows all.
	// An error of it is final.
	Allow func(host string, port uint16) error

	// Login is asked about each request, redirects included; nil logs in nowhere.
	Login func(*http.Request)

	Cache *Cache // nil: no cache

	Stall time.Duration // the longest time without a byte; 0: 30 s
	Pause time.Duration // before another attempt, then twice as long; 0: 500 ms

	once  sync.Once
	http  *http.Client
	whole chan struct{} // holds one
}

// HostPort is where a URL leads: a host in lower case, or an address.
func HostPort(u *url.URL) (string, uint16, error) {
	port := u.Port()
	usual, ok := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if port == "" {
		port = usual
	}
	n, err := strconv.ParseUint(port, 10, 16)
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if !ok || err != nil || n == 0 || host == "" {
		return "", 0, fmt.Errorf("%s is no http or https address with a host", u.Redacted())
	}
	return host, uint16(n), nil
}

func (c *Client) allowed(u *url.URL) error {
	host, port, err := HostPort(u)
	if err != nil || c.Allow == nil {
		return err
	}
	return c.Allow(host, port)
}

// accept prefers JSON (PEP 691).
const accept = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01"

// Files lists a project's files on the first index that has it, and that index.
// An index that fails is an error: to ask the next one instead could bring a
// stranger's project of the same name (PEP 708).
func (c *Client) Files(ctx context.Context, project string) ([]File, string, error) {
	name := pep508.NormalizeName(project)
	for _, root := range c.Roots(name) {
		at := strings.TrimSuffix(root, "/") + "/" + name + "/"
		a, err := c.get(ctx, request{at: at, accept: accept, limit: maxPage})
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		base, err := url.Parse(a.final)
		if err != nil {
			return nil, "", fmt.Errorf("index: %w", err)
		}
		files, err := parse(a.body, a.kind, base)
		if err != nil {
			return nil, "", &Error{URL: base.Redacted(), Reason: err.Error(), Fix: notAnIndex}
		}
		return files, root, nil
	}
	return nil, "", fmt.Errorf("%s: %w", project, ErrNotFound)
}

// Metadata returns a wheel's METADATA: the file beside it if the index has one,
// else out of the wheel itself.
func (c *Client) Metadata(ctx context.Context, f File) ([]byte, error) {
	if !f.HasMetadata {
		return c.fromWheel(ctx, f)
	}
	at := f.URL + ".metadata"
	if old := c.Cache.load(at); old != nil && f.MetadataSHA256 != "" && sum(old.body) == f.MetadataSHA256 {
		return old.body, nil
	}
	a, err := c.get(ctx, request{at: at, accept: "*/*", limit: maxMetadata})
	switch {
	case errors.Is(err, ErrNotFound):
		return c.fromWheel(ctx, f)
	case err != nil:
		return nil, err
	case f.MetadataSHA256 != "" && sum(a.body) != f.MetadataSHA256:
		return nil, tampered(at)
	}
	return a.body, nil
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
