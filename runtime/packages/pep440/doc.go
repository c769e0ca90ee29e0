// Package pep440 reads, orders and matches the versions of Python projects and
// the specifiers that select them, as PEP 440 and the Version Specifiers page
// of the PyPA define them.
//
// Parse makes a Version, ParseSpecifiers the comma-separated clauses of a
// requirement. Specifiers.Contains answers by the clauses alone; whether a
// pre-release may be chosen is policy, and Filter applies it to a list of
// candidates. Ranges turns clauses into a set of intervals, on which a solver
// can do algebra.
package pep440
