//go:build linux && cgo

// Command soak makes a million mixed calls of the Go package from sixteen goroutines, on real mounts
// in a mount namespace of its own, and fails when descriptors, threads, mounts or memory grew.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"
	"rustsubpath/internal/testutil"
)

const workers = 16

// warmUp is the part of the calls that is made before the first look: pools, caches and threads have
// grown by then to what they stay at.
const warmUp = 0.1

var (
	calls = flag.Int("calls", 1_000_000, "how many calls to make")
	seed  = flag.Int64("seed", time.Now().UnixNano(), "what the order of calls depends on")
)

func main() {
	flag.Parse()
	// What threads keep for themselves of freed memory, malloc(3) counts as given out.
	testutil.EnterNamespace("GLIBC_TUNABLES=glibc.malloc.tcache_count=0")
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.Remove(root)
	if err := syscall.Mount("soak", root, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	defer syscall.Unmount(root, syscall.MNT_DETACH)
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return err
	}
	// What is logged is formatted and dropped; how loud it is, a call decides.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)

	shared, err := newSite(root, "shared")
	if err != nil {
		return err
	}
	crew := make([]*worker, workers)
	for i := range crew {
		if crew[i], err = newWorker(root, i, shared, *seed); err != nil {
			return err
		}
	}
	fmt.Printf("soak: %d calls from %d goroutines, seed %d\n", *calls, workers, *seed)

	first := int(float64(*calls) * warmUp)
	if err := together(crew, first); err != nil {
		return err
	}
	before, err := look(root)
	if err != nil {
		return err
	}
	if err := together(crew, *calls-first); err != nil {
		return err
	}
	after, err := look(root)
	if err != nil {
		return err
	}
	report(crew)
	return before.compare(after)
}

// together lets every worker make its share of the calls.
func together(crew []*worker, total int) error {
	ends := make([]error, len(crew))
	var wait sync.WaitGroup
	for i, w := range crew {
		wait.Add(1)
		go func(i int, w *worker) {
			defer wait.Done()
			ends[i] = w.work(total / len(crew))
		}(i, w)
	}
	wait.Wait()
	// Where all were at work on one sub path, the last clean-up may have met another's mount.
	shared := crew[0].shared
	ends = append(ends, crew[0].native().CleanSubPaths(shared.pod, "vol"))
	return errors.Join(ends...)
}

func report(crew []*worker) {
	total := 0
	for i, kind := range kinds {
		made := 0
		for _, w := range crew {
			made += w.made[i]
		}
		total += made
		fmt.Printf("  %8d  %s\n", made, kind.name)
	}
	fmt.Printf("  %8d  calls\n", total)
}
