package where

import (
	"bytes"
	"net/netip"
	"strconv"
	"strings"
	"time"
	"unicode"

	"blast.example/blast/runtime/network/hostname"
)

// Bounds of what is remembered.
const (
	maxProcesses = 256
	maxClaims    = 16          // of one process
	validFor     = time.Minute // then another process may have the number
	moment       = 2 * time.Second
)

// A claim is what a process said of itself.
type claim struct {
	place string
	port  uint16
	at    time.Time
}

// claims are by process, and by what it would look up or connect to.
type claims map[int]map[string]claim

func (cs claims) find(pid int, key string, now time.Time) (claim, bool) {
	c, ok := cs[pid][key]
	return c, ok && key != "" && now.Sub(c.at) < validFor
}

// only is the process that said this within a moment, if one did.
func (cs claims) only(key string, port uint16, now time.Time) int {
	found := 0
	for pid, of := range cs {
		if c, ok := of[key]; ok && key != "" && c.port == port && now.Sub(c.at) < moment {
			if found != 0 {
				return 0
			}
			found = pid
		}
	}
	return found
}

// add drops what was said longest ago where there is no room.
func (cs claims) add(pid int, key string, c claim) {
	if cs[pid] == nil {
		if len(cs) >= maxProcesses {
			delete(cs, cs.quietest())
		}
		cs[pid] = map[string]claim{}
	}
	of := cs[pid]
	if _, known := of[key]; !known && len(of) >= maxClaims {
		oldest := ""
		for k, o := range of {
			if oldest == "" || o.at.Before(of[oldest].at) {
				oldest = k
			}
		}
		delete(of, oldest)
	}
	of[key] = c
}

// quietest is the process that said nothing for longest.
func (cs claims) quietest() int {
	var who int
	var since time.Time
	for pid, of := range cs {
		var last time.Time
		for _, c := range of {
			if c.at.After(last) {
				last = c.at
			}
		}
		if who == 0 || last.Before(since) {
			who, since = pid, last
		}
	}
	return who
}

// read takes a message apart. It is safe for any bytes.
func read(b []byte) (key string, c claim, ok bool) {
	f := bytes.Split(b, []byte{0})
	if len(f) != 4 || string(f[0]) != "1" {
		return "", c, false
	}
	port, err := strconv.ParseUint(string(f[2]), 10, 16)
	if err != nil {
		return "", c, false
	}
	if key = keyOf(string(f[1])); key == "" {
		return "", c, false
	}
	if c.place = clean(f[3]); c.place == "" {
		return "", c, false
	}
	c.port = uint16(port)
	return key, c, true
}

// keyOf is an address or a name as others write it, too; "" is neither.
func keyOf(target string) string {
	if a, err := netip.ParseAddr(target); err == nil {
		return keyOfAddr(a)
	}
	name, _ := hostname.Normalize(target)
	return name
}

func keyOfAddr(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.Unmap().WithZone("").String()
}

// clean keeps the end of a place, which has the line, and of its characters those that
// a line of text can have.
func clean(b []byte) string {
	s := strings.ToValidUTF8(string(b[max(0, len(b)-maxPlace):]), "?")
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, s)
}
