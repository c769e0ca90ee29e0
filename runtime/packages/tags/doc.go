// Package tags reads the names of wheels and source distributions, and tells
// which wheels an interpreter on Linux can use, best first (PEP 425, 427, 600,
// 625 and the Platform Compatibility Tags page of the PyPA).
package tags
