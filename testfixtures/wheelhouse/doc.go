// Package wheelhouse makes wheels of real third-party projects on a machine
// that reaches a Debian mirror, but no package index: it repacks Debian's
// python3-* packages. Names, versions, requirements, entry points and compiled
// extensions are the projects' own.
//
// Where Debian kept .dist-info, the metadata is the project's, byte by byte.
// Where it has .egg-info, the base requirements were taken out when the package
// was built; they come back from the package's Depends, as lower bounds.
// Compiled extensions may need a library of the host, which Manifest names.
//
// apt fetches and verifies the packages. What is made is kept in the user's
// cache folder, and a second Build only copies.
package wheelhouse
