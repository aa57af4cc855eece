//go:build cgo

// What the way through the library costs: crossings and allocations, and benchmarks.

package rustsubpath

import (
	"io"
	"runtime"
	"testing"

	"rustsubpath/internal/testutil"
)

func TestANativeOperationCrossesOnceAndAllocatesItsResult(t *testing.T) {
	s, subpather := newSite(t), native(t, ProfileV129)
	request := s.subpath("dir")
	prepare := func() {
		if _, _, err := subpather.PrepareSafeSubpath(request); err != nil {
			t.Fatal(err)
		}
	}
	clean := func() {
		if err := subpather.CleanSubPaths(s.Pod, "vol"); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name        string
		run         func()
		crossings   int64
		allocations float64
	}{
		{"SafeMakeDir", func() {
			if err := subpather.SafeMakeDir("dir", s.Volume, 0o755); err != nil {
				t.Fatal(err)
			}
		}, 1, 0},
		{"CleanSubPaths of nothing", clean, 1, 0},
		{"PrepareSafeSubpath and CleanSubPaths", func() { prepare(); clean() }, 2, 1},
		{"PrepareSafeSubpath when prepared", prepare, 1, 1},
	} {
		before := runtime.NumCgoCall()
		row.run()
		if got := runtime.NumCgoCall() - before; got != row.crossings {
			t.Errorf("%s crosses %d times, expected %d", row.name, got, row.crossings)
		}
		if got := testing.AllocsPerRun(50, row.run); got > row.allocations {
			t.Errorf("%s allocates %v times, expected %v", row.name, got, row.allocations)
		}
	}
	clean()
}

func BenchmarkSafeMakeDirExisting(b *testing.B) {
	s := newSite(b)
	subpather := New(nil, ProfileV129)
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		if err := subpather.SafeMakeDir("dir/deep", s.Volume, 0o755); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNativePrepareAndClean(b *testing.B) {
	s, subpather := newSite(b), native(b, ProfileV129)
	request := s.subpath("dir")
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		if _, _, err := subpather.PrepareSafeSubpath(request); err != nil {
			b.Fatal(err)
		}
		if err := subpather.CleanSubPaths(s.Pod, "vol"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNativePrepareWhenPrepared(b *testing.B) {
	s, subpather := newSite(b), native(b, ProfileV129)
	request := s.subpath("dir")
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		if _, _, err := subpather.PrepareSafeSubpath(request); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkForwardPrepareAndClean(b *testing.B) {
	s := newSite(b)
	r := &testutil.Recorder{}
	subpather := New(r, ProfileV129)
	request := s.subpath("dir")
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		if _, _, err := subpather.PrepareSafeSubpath(request); err != nil {
			b.Fatal(err)
		}
		if err := subpather.CleanSubPaths(s.Pod, "vol"); err != nil {
			b.Fatal(err)
		}
		r.Calls = r.Calls[:0]
	}
}

func BenchmarkSafeMakeDirExistingWithItsTwoLines(b *testing.B) {
	testutil.KlogTo(b, 5, "", io.Discard)
	BenchmarkSafeMakeDirExisting(b)
}
