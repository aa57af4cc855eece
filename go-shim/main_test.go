//go:build cgo

package rustsubpath

import (
	"runtime"
	"testing"

	"rustsubpath/internal/testutil"
)

// The main thread runs no test. /proc/self is what this thread sees, so no test may give it a namespace.
func init() { runtime.LockOSThread() }

func TestMain(m *testing.M) { testutil.Main(m) }

// site is testutil's with requests of this package's type.
type site struct{ testutil.Site }

func newSite(t testing.TB) site {
	t.Helper()
	return site{testutil.NewSite(t)}
}

func (s site) subpath(path string) Subpath {
	return Subpath(s.Subpath(path))
}
