// Package upstreamtest has the inner steps of kubernetes' subpath_linux.go under their own names, for the
// one user that needs them: kubernetes' white-box tests of that file, which call its unexported functions
// and run unchanged in a swapped tree. Nothing but tests may import it, and its functions may change or go
// in any release.
package upstreamtest
