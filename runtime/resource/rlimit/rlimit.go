// Package rlimit is limits of getrlimit(2) as values. It is apart from the resource
// block's words, as what starts commands needs no language.
package rlimit

// Limits are by getrlimit(2) name in lower case without RLIMIT_: "nofile". They
// hold for each command that is started.
type Limits map[string]Limit

// Limit is one pair of limits. RLIM_INFINITY is ^uint64(0).
type Limit struct {
	Soft uint64 `json:"soft"`
	Hard uint64 `json:"hard"`
}
