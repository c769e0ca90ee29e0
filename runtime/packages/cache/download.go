package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"blast.example/blast/runtime/packages/outward"
)

// A Wheel is a file to have, as a lock file pins it.
type Wheel struct {
	File   string // file name
	URL    string // http or https
	SHA256 string // 64 hex digits, lower case
	Size   int64  // bytes; 0 is unknown
}

// Limits of a download.
const (
	maxDownload  = 8 << 30 // bytes of a file
	maxRedirects = 5
	attempts     = 4
	firstPause   = 250 * time.Millisecond // between attempts; then twice as long each time
	stall        = 60 * time.Second       // without a byte
	dialTimeout  = 15 * time.Second
)

// downloader fetches files from the hosts of one lock file, and talks to nobody else.
type downloader struct {
	client *http.Client
	hosts  []string // "host:port"
	pause  time.Duration
	stall  time.Duration
	login  func(*http.Request)
}

// refusedError is an answer that another attempt would not change.
type refusedError struct{ reason string }

func (e *refusedError) Error() string { return e.reason }

func newDownloader(wheels []Wheel) (*downloader, error) {
	d := &downloader{pause: firstPause, stall: stall}
	for _, w := range wheels {
		u, err := url.Parse(w.URL)
		if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, fmt.Errorf("download %s: its URL is not http or https", w.File)
		}
		if w.Size > maxDownload {
			return nil, fmt.Errorf("download %s: the lock file says that it has %d bytes; at most %d are fetched", w.File, w.Size, int64(maxDownload))
		}
		if h := hostPort(u); !slices.Contains(d.hosts, h) {
			d.hosts = append(d.hosts, h)
		}
	}
	dialer := outward.Dialer{Timeout: dialTimeout}
	d.client = &http.Client{
		CheckRedirect: d.checkRedirect,
		Transport: &http.Transport{ // no proxy: nobody pinned that
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				if !slices.Contains(d.hosts, strings.ToLower(addr)) {
					return nil, &refusedError{fmt.Sprintf("%s is not a host of the lock file", addr)}
				}
				c, err := dialer.DialContext(ctx, network, addr)
				var refused *outward.RefusedError
				if errors.As(err, &refused) {
					return nil, &refusedError{refused.Error()}
				}
				return c, err
			},
			DisableCompression:    true, // what is hashed is the file as it is
			ForceAttemptHTTP2:     true,
			TLSHandshakeTimeout:   dialTimeout,
			ResponseHeaderTimeout: stall,
			MaxIdleConnsPerHost:   parallel,
		},
	}
	return d, nil
}

func (d *downloader) close() { d.client.CloseIdleConnections() }

// hostPort is what is dialed for a URL.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return strings.ToLower(net.JoinHostPort(u.Hostname(), port))
}

func (d *downloader) checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return &refusedError{fmt.Sprintf("more than %d redirects", maxRedirects)}
	case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https":
		return &refusedError{"it redirects from https to " + req.URL.Scheme}
	case !slices.Contains(d.hosts, hostPort(req.URL)):
		return &refusedError{fmt.Sprintf("it redirects to %s, which is not a host of the lock file", req.URL.Host)}
	}
	if d.login != nil {
		d.login(req)
	}
	return nil
}

// fetch downloads w into f, trying again when the network fails. What is in f
// afterwards has the right hash and size.
func (d *downloader) fetch(ctx context.Context, w Wheel, f *os.File, progress func(n int64)) (size int64, err error) {
	pause := d.pause
	for attempt := 1; ; attempt++ {
		size, err = d.attempt(ctx, w, f, progress)
		var refused *refusedError
		if err == nil || attempt == attempts || errors.As(err, &refused) || ctx.Err() != nil {
			break
		}
		progress(-size) // comes again
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause *= 2
	}
	if err != nil {
		return 0, fmt.Errorf("download %s from %s: %w", w.File, host(w.URL), withoutURL(err))
	}
	return size, nil
}

// withoutURL drops the URL, which may hold a password, from an error of net/http.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "its index"
	}
	return u.Host
}

func (d *downloader) attempt(ctx context.Context, w Wheel, f *os.File, progress func(n int64)) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(d.stall, func() { cancel(fmt.Errorf("nothing came for %v", d.stall)) })
	defer watchdog.Stop()
	if err := f.Truncate(0); err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL, http.NoBody)
	if err != nil {
		return 0, &refusedError{"its URL can't be used"}
	}
	req.Header.Set("User-Agent", "blast")
	if d.login != nil {
		d.login(req)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, because(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := checkStatus(resp); err != nil {
		return 0, err
	}
	h := sha256.New()
	body := &watched{resp.Body, func(n int) { watchdog.Reset(d.stall); progress(int64(n)) }}
	most := w.Size
	if most <= 0 {
		most = maxDownload
	}
	n, err := io.Copy(io.MultiWriter(io.NewOffsetWriter(f, 0), h), io.LimitReader(body, most+1))
	if err != nil {
		return n, because(ctx, err)
	}
	return n, checkContent(w, n, most, hex.EncodeToString(h.Sum(nil)))
}

// because prefers the reason why ctx ended to what the network made of it.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func checkStatus(resp *http.Response) error {
	switch c := resp.StatusCode; {
	case c == http.StatusOK:
		return nil
	case c == http.StatusRequestTimeout || c == http.StatusTooManyRequests || c >= 500:
		return fmt.Errorf("the server answers %d %s", c, http.StatusText(c))
	}
	return &refusedError{fmt.Sprintf("the server answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))}
}

func checkContent(w Wheel, n, most int64, sum string) error {
	switch {
	case n > most:
		return &refusedError{fmt.Sprintf("it has more than %d bytes, which the lock file says it has", most)}
	case w.Size > 0 && n < w.Size:
		return fmt.Errorf("it ended after %d of %d bytes", n, w.Size)
	case sum != w.SHA256:
		return &refusedError{fmt.Sprintf("its SHA-256 is %s, but the lock file says %s: this is not the file that was locked", sum, w.SHA256)}
	}
	return nil
}

// watched tells about each piece that is read.
type watched struct {
	io.Reader
	tell func(n int)
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	w.tell(n)
	return n, err
}
