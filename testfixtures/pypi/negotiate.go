package pypi

import (
	"mime"
	"strconv"
	"strings"
)

const (
	typeJSON = "application/vnd.pypi.simple.v1+json"
	typeHTML = "application/vnd.pypi.simple.v1+html"
	typeOld  = "text/html"
)

// offers maps what a client may ask for to what it gets (PEP 691).
var offers = map[string]string{
	typeJSON: typeJSON,
	"application/vnd.pypi.simple.latest+json": typeJSON,
	typeHTML: typeHTML,
	"application/vnd.pypi.simple.latest+html": typeHTML,
	typeOld:  typeOld,
	"text/*": typeOld,
	"*/*":    typeOld,
}

// negotiate chooses the content type that the client likes best; on a draw the
// one it names first. Without Accept it is old HTML.
func negotiate(accept string, htmlOnly bool) (string, bool) {
	if strings.TrimSpace(accept) == "" || htmlOnly {
		return typeOld, true
	}
	best, bestQ := "", 0.0
	for _, part := range strings.Split(accept, ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil {
			continue
		}
		q := 1.0
		if s, ok := params["q"]; ok {
			if q, err = strconv.ParseFloat(s, 64); err != nil {
				continue
			}
		}
		if offer, ok := offers[kind]; ok && q > bestQ {
			best, bestQ = offer, q
		}
	}
	return best, best != ""
}
