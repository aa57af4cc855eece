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
	"os/exec"
	"sync"
	"syscall"
	"time"

	"k8s.io/klog/v2"
)

// inNamespace tells the program that it runs in the namespaces made for it.
const inNamespace = "SOAK_IN_NAMESPACE"

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
	if os.Getenv(inNamespace) == "" {
		os.Exit(runInNamespace())
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func runInNamespace() int {
	child := exec.Command("/proc/self/exe", os.Args[1:]...)
	// What threads keep for themselves of freed memory, malloc(3) counts as given out.
	child.Env = append(os.Environ(), inNamespace+"=1", "GLIBC_TUNABLES=glibc.malloc.tcache_count=0")
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	err := child.Run()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	default:
		fmt.Fprintf(os.Stderr, "soak: it needs a mount namespace (as root), or a user namespace: %v\n", err)
		return 1
	}
}

func run() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mount namespace private: %w", err)
	}
	root, err := os.MkdirTemp("", "soak")
	if err != nil {
		return err
	}
	defer os.Remove(root)
	if err := syscall.Mount("soak", root, "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a tmpfs: %w", err)
	}
	defer syscall.Unmount(root, syscall.MNT_DETACH)
	if root, err = realPath(root); err != nil {
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
