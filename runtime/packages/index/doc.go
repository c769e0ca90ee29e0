// Package index reads a package index: the simple API as JSON (PEP 691) or HTML
// (PEP 503), metadata files (PEP 658, 714), yanked files (PEP 592) and
// requires-python. An answer is cached with its entity tag and asked for again;
// what the index gives a hash of is used without asking.
//
// An index is not trusted. What it sends is bounded in size and time, hashes are
// checked, hosts are asked about before they are spoken to, redirects included,
// and a connection is never made less safe than the one that led to it.
package index
