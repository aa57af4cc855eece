//go:build cgo

// What the way through the library costs: crossings and allocations, and a benchmark.

package rustsubpath

import (
	"runtime"
	"testing"
)

// operation is one that mounts by itself, with what it may cost.
type operation struct {
	name        string
	run         func()
	crossings   int64
	allocations float64
}

func operations(t testing.TB) []operation {
	s, subpather := newSite(t), native(t, ProfileV129)
	request := s.subpath("dir")
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	prepare := func() {
		_, _, err := subpather.PrepareSafeSubpath(request)
		must(err)
	}
	clean := func() { must(subpather.CleanSubPaths(s.Pod, "vol")) }
	return []operation{
		{"SafeMakeDir", func() { must(subpather.SafeMakeDir("dir", s.Volume, 0o755)) }, 1, 0},
		{"CleanSubPaths of nothing", clean, 1, 0},
		{"PrepareSafeSubpath and CleanSubPaths", func() { prepare(); clean() }, 2, 1},
		{"PrepareSafeSubpath when prepared", prepare, 1, 1},
	}
}

func TestANativeOperationCrossesOnceAndAllocatesItsResult(t *testing.T) {
	for _, row := range operations(t) {
		before := runtime.NumCgoCall()
		row.run()
		if got := runtime.NumCgoCall() - before; got != row.crossings {
			t.Errorf("%s crosses %d times, expected %d", row.name, got, row.crossings)
		}
		if got := testing.AllocsPerRun(50, row.run); got > row.allocations {
			t.Errorf("%s allocates %v times, expected %v", row.name, got, row.allocations)
		}
	}
}

func BenchmarkNativeOperations(b *testing.B) {
	for _, row := range operations(b) {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; i < b.N; i++ {
				row.run()
			}
		})
	}
}
