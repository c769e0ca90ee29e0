package pypi

import (
	"net/http"
	"net/http/httptest"
	"strconv"
	"time"
)

// Fault is what goes wrong with the answers at one path. Fields combine.
type Fault struct {
	Status   int           // answer this status, with nothing of use: 500, 404, 429
	Tamper   bool          // change one byte in the middle of the body
	Truncate bool          // announce the whole length, send half, cut the connection
	Stall    bool          // send half, then nothing, until the client goes
	Delay    time.Duration // wait before answering
	Times    int           // mend after so many answers; 0: never
}

// Break makes the answers at a path, like "/files/six-1.0-py3-none-any.whl" or
// "/simple/six/", wrong from now on.
func (x *Index) Break(path string, f Fault) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.faults[path] = &f
}

// Mend takes a fault back.
func (x *Index) Mend(path string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.faults, path)
}

// fault returns a copy of the fault for one answer.
func (x *Index) fault(path string) *Fault {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, ok := x.faults[path]
	if !ok {
		return nil
	}
	once := *f
	if f.Times == 1 {
		delete(x.faults, path)
	} else if f.Times > 1 {
		f.Times--
	}
	return &once
}

// serve answers through next, then spoils what it said.
func (f *Fault) serve(w http.ResponseWriter, r *http.Request, next http.HandlerFunc) {
	if f.Delay > 0 {
		timer := time.NewTimer(f.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		}
	}
	if f.Status != 0 {
		http.Error(w, "this index is broken on purpose", f.Status)
		return
	}
	good := httptest.NewRecorder()
	next(good, r)
	body := good.Body.Bytes()
	if f.Tamper && len(body) > 0 {
		body[len(body)/2] ^= 1
	}
	for k, v := range good.Header() {
		w.Header()[k] = v
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(good.Code)
	if !f.Truncate && !f.Stall {
		_, _ = w.Write(body)
		return
	}
	_, _ = w.Write(body[:len(body)/2])
	if fl, ok := w.(http.Flusher); ok {
		fl.Flush()
	}
	if f.Stall {
		<-r.Context().Done()
	}
	panic(http.ErrAbortHandler) // the way to cut a connection
}
