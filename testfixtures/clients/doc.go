// Package clients tries programs that people use, as they are: no proxy variables, nothing
// patched. They run in a real sandbox against an internet of the test's own.
//
// Each client (list_test.go) does all that it can do of what is listed there: pages over HTTPS and HTTP, from
// names with IPv4, with both and with IPv6 only, redirects to another name, bodies of 10 MiB both ways, chunks,
// gzip, HTTP/2, events, websockets, 50 at once. Then it asks for a host that no rule names, which must fail at once and
// say so; says nothing for 65 seconds between two requests on one connection; and
// loses its connection when the rule goes.
//
// What isn't installed is skipped by name; `make clients` installs all. docs/CLIENTS.md is what
// came of it, and a test holds its table and the list together.
package clients
