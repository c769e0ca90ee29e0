// Package pep508 reads what Python projects say they need: requirements and
// their environment markers (PEP 508 and the Dependency Specifiers page of the
// PyPA), requirements files as pip reads them, and the [project] table of
// pyproject.toml (PEP 621, PEP 735).
//
// Nothing here looks at the machine: an Environment carries the values that
// markers ask for.
package pep508
