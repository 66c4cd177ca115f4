// Package ci checks the repository as a whole: which package may import which
// (imports.go), that the reducer is deterministic (purity.go), and the shape
// of files and comments (tree.go). The mechanisms are plain functions over
// values; the rules of this repository are tables in the tests beside them.
//
// Findings are strings of the form "place: what: reason", sorted, so that a
// run over the same tree always prints the same. Nothing imports this package.
package ci
