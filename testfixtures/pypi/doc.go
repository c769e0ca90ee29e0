// Package pypi is a Python package index for tests and demonstrations: an HTTP
// handler over a folder of wheels and source distributions, or over files made
// in memory, with the faults of real indexes at will.
//
// It speaks the simple API in HTML (PEP 503) and JSON (PEP 691, 700), with
// hashes, metadata files (PEP 658, 714), requires-python, yanked files (PEP
// 592), ranges and entity tags. The API's root is at /simple/.
//
//	x := pypi.New()
//	x.Add(pypi.Wheel{Name: "six", Version: "1.16", Files: map[string]string{"six.py": "…"}})
//	url := pypi.Serve(t, x)
package pypi
