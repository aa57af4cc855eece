//go:build linux && cgo

// What this process holds: descriptors, threads, mounts, files, memory.

package main

// #include <malloc.h>
// #include <stdint.h>
//
// // What malloc(3) has given out and not got back, in all arenas: the library's memory. 0 where the
// // C library does not tell.
// static uint64_t given_out(void) {
// #if defined(__GLIBC__) && __GLIBC_PREREQ(2, 33)
// 	struct mallinfo2 m = mallinfo2();
// 	return m.uordblks + m.hblkhd;
// #else
// 	return 0;
// #endif
// }
import "C"

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
)

// The bounds. A byte that each of a million calls leaks is over that of malloc(3), which is exact; the
// others vary with what the kernel and the Go runtime keep in store.
const (
	// Threads of the Go runtime, which makes one whenever all others are in a call.
	moreThreads = 8
	moreMalloc  = 256 << 10
	moreGoHeap  = 1 << 20
	moreRSS     = 4 << 20
)

// holdings are what the process holds at a moment when no call is under way.
type holdings struct {
	descriptors, threads, goroutines, mounts, files int
	rss, malloc, goHeap                             int
}

func look(root string) (holdings, error) {
	// Threads that end have ended by then, and what was freed is given back.
	time.Sleep(200 * time.Millisecond)
	debug.FreeOSMemory()
	debug.FreeOSMemory()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	h := holdings{
		goroutines: runtime.NumGoroutine(),
		malloc:     int(C.given_out()),
		goHeap:     int(memory.HeapAlloc),
	}
	descriptors, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return h, err
	}
	h.descriptors = len(descriptors)
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return h, err
	}
	h.mounts = strings.Count(string(table), "\n")
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return h, err
	}
	for _, line := range strings.Split(string(status), "\n") {
		fmt.Sscanf(line, "Threads: %d", &h.threads)
		if kib := 0; strings.HasPrefix(line, "VmRSS:") {
			fmt.Sscanf(line, "VmRSS: %d", &kib)
			h.rss = kib << 10
		}
	}
	err = filepath.WalkDir(root, func(string, fs.DirEntry, error) error {
		h.files++
		return nil
	})
	return h, err
}

// compare fails when more is held now than before, beyond the bounds.
func (h holdings) compare(now holdings) error {
	var grew []error
	for _, row := range []struct {
		what                  string
		before, after, allows int
	}{
		{"descriptors", h.descriptors, now.descriptors, 0},
		{"mounts", h.mounts, now.mounts, 0},
		{"files", h.files, now.files, 0},
		{"goroutines", h.goroutines, now.goroutines, 0},
		{"threads", h.threads, now.threads, moreThreads},
		{"bytes of malloc", h.malloc, now.malloc, moreMalloc},
		{"bytes of Go's heap", h.goHeap, now.goHeap, moreGoHeap},
		{"bytes resident", h.rss, now.rss, moreRSS},
	} {
		fmt.Printf("  %-20s %9d after the warm-up, %9d at the end, %+d (may grow by %d)\n",
			row.what, row.before, row.after, row.after-row.before, row.allows)
		if row.after-row.before > row.allows {
			grew = append(grew, fmt.Errorf("%s grew from %d to %d", row.what, row.before, row.after))
		}
	}
	return errors.Join(grew...)
}
