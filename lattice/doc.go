// Package lattice holds state that only grows and so merges in any order: join-semilattices
// as plain Go values, and their composition.
package lattice
