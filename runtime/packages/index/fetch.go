package index

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"blast.example/blast/runtime/packages/outward"
)

const (
	attempts     = 3
	maxRedirects = 5
	defaultStall = 30 * time.Second
	defaultPause = 500 * time.Millisecond
	maxTime      = 10 * time.Minute // of one answer, however steadily it comes
	dialTimeout  = 15 * time.Second
	maxIdle      = 16
)

// request is one GET.
type request struct {
	at     string
	accept string
	ranges string // value of Range; such an answer is not cached
	limit  int64  // bytes of the body
}

// answer is what came.
type answer struct {
	body  []byte
	kind  string // content type
	final string // URL after redirects
	whole bool   // not only the range that was asked for
	total int64  // with a range: size of the whole
	first int64  // with a range: where it begins
}

func (c *Client) client() *http.Client {
	c.once.Do(func() {
		c.whole = make(chan struct{}, 1)
		c.http = &http.Client{
			CheckRedirect: c.checkRedirect,
			Transport: &http.Transport{ // no proxy: no rule allows it
				DialContext:            outward.Dialer{Timeout: dialTimeout}.DialContext,
				ForceAttemptHTTP2:      true,
				TLSHandshakeTimeout:    dialTimeout,
				MaxIdleConnsPerHost:    maxIdle,
				MaxConnsPerHost:        maxIdle,
				IdleConnTimeout:        defaultStall,
				MaxResponseHeaderBytes: 1 << 20,
			},
		}
	})
	return c.http
}

// Close ends idle connections.
func (c *Client) Close() { c.client().CloseIdleConnections() }

func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	switch {
	case len(via) > maxRedirects:
		return &refusedError{fmt.Sprintf("it redirects more than %d times", maxRedirects)}
	case via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https":
		return &refusedError{"it redirects from https to " + req.URL.Scheme}
	case req.URL.User != nil:
		return &refusedError{"it redirects to an address with a password"}
	}
	c.logIn(req)
	return c.allowed(req.URL)
}

func (c *Client) logIn(r *http.Request) {
	if c.Login != nil {
		c.Login(r)
	}
}

// get fetches a URL, with more attempts for what may pass.
func (c *Client) get(ctx context.Context, r request) (answer, error) {
	pause := cmp.Or(c.Pause, defaultPause)
	for n := 1; ; n++ {
		a, again, err := c.attempt(ctx, r)
		if err == nil || !again || n == attempts {
			return a, err
		}
		select {
		case <-ctx.Done():
			return answer{}, ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}

// attempt makes one request. It reports whether another may do better.
func (c *Client) attempt(parent context.Context, r request) (a answer, again bool, err error) {
	u, err := url.Parse(r.at)
	if err != nil {
		return a, false, fmt.Errorf("index: %w", err)
	}
	if err := c.allowed(u); err != nil {
		return a, false, err
	}
	ctx, reset, stop := c.watch(parent)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.at, http.NoBody)
	if err != nil {
		return a, false, fmt.Errorf("index: %w", err)
	}
	req.Header.Set("Accept", r.accept)
	req.Header.Set("User-Agent", "blast")
	c.logIn(req)
	var old *entry
	if r.ranges != "" {
		req.Header.Set("Range", r.ranges)
	} else if old = c.Cache.load(r.at); old != nil {
		req.Header.Set("If-None-Match", old.ETag)
	}
	resp, err := c.client().Do(req)
	if err != nil {
		if parent.Err() != nil {
			return a, false, parent.Err()
		}
		return a, !final(err), unreachable(ctx, r.at, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode == http.StatusNotModified && old != nil {
		return answer{body: old.body, kind: old.Kind, final: old.Final, whole: true}, false, nil
	}
	if a, err = r.accepts(resp); err != nil {
		return a, passes(resp.StatusCode), err
	}
	a.body, err = io.ReadAll(io.LimitReader(&watched{resp.Body, reset}, r.limit+1))
	switch {
	case parent.Err() != nil:
		return a, false, parent.Err()
	case err != nil:
		return a, true, unreachable(ctx, r.at, fmt.Errorf("the answer breaks off (%w)", err))
	case int64(len(a.body)) > r.limit:
		return a, false, &Error{URL: u.Redacted(), Reason: fmt.Sprintf("the answer is larger than %d bytes", r.limit), Fix: notAnIndex}
	}
	if r.ranges == "" && r.limit <= maxCached {
		c.Cache.store(r.at, entry{ETag: resp.Header.Get("ETag"), Kind: a.kind, Final: a.final, body: a.body})
	}
	return a, false, nil
}

// errWhole says that a server sends all of a large file where a part was asked for.
var errWhole = errors.New("the server knows no ranges")

// final reports whether an error is one of Blast's own: to ask again changes nothing.
func final(err error) bool {
	var refused *refusedError
	var denied interface{ Denied() }
	return errors.As(err, &refused) || errors.As(err, &denied)
}

// accepts reads status and header.
func (r request) accepts(resp *http.Response) (answer, error) {
	a := answer{kind: resp.Header.Get("Content-Type"), final: resp.Request.URL.String(), whole: true}
	switch status := resp.StatusCode; {
	case status == http.StatusOK && r.ranges != "" && (resp.ContentLength < 0 || resp.ContentLength > maxPage):
		return a, errWhole
	case status == http.StatusOK:
		return a, nil
	case status == http.StatusPartialContent && r.ranges != "":
		var ok bool
		if a.first, a.total, ok = contentRange(resp.Header.Get("Content-Range")); !ok {
			return a, &Error{URL: redacted(r.at), Reason: fmt.Sprintf("the server answers a range with Content-Range %.60q", resp.Header.Get("Content-Range")), Fix: tryLater}
		}
		a.whole = a.total == 0
		return a, nil
	case status == http.StatusNotFound || status == http.StatusGone:
		return a, ErrNotFound
	}
	return a, badStatus(r.at, resp)
}

// contentRange reads "bytes 5-9/10" (RFC 9110). Of nothing, servers say "0--1/0".
func contentRange(s string) (first, total int64, ok bool) {
	var last int64
	n, err := fmt.Sscanf(s, "bytes %d-%d/%d", &first, &last, &total)
	if n != 3 || err != nil || first < 0 || total < 0 {
		return 0, 0, false
	}
	return first, total, total == 0 || first <= last && last < total
}

// watch ends a request when nothing comes for a while, or nothing but drops.
func (c *Client) watch(parent context.Context) (ctx context.Context, reset, stop func()) {
	stall := cmp.Or(c.Stall, defaultStall)
	ctx, cancel := context.WithCancelCause(parent)
	idle := time.AfterFunc(stall, func() { cancel(&stalledError{fmt.Sprintf("nothing came for %v", stall)}) })
	whole := time.AfterFunc(maxTime, func() { cancel(&stalledError{fmt.Sprintf("the answer takes longer than %v", maxTime)}) })
	return ctx, func() { idle.Reset(stall) }, func() { idle.Stop(); whole.Stop(); cancel(nil) }
}

// watched tells about each piece that is read.
type watched struct {
	io.Reader
	tell func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.tell()
	}
	return n, err
}
