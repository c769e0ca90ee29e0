// Package solver chooses one version of each project so that every requirement
// holds, or proves that there is none and says why. It is PubGrub: what was
// learned from a conflict is kept as an incompatibility, so no dead end is
// entered twice, and the chain of incompatibilities is the explanation.
//
// It is pure but for its Provider, and its answer depends on nothing else: the
// same Provider gives the same versions and the same explanation.
//
// Source: https://github.com/dart-lang/pub/blob/master/doc/solver.md
package solver
