// The gate that keeps attackers still while an arena is looked at and put right: in memory that the
// attacker's process shares, so that a call under attack pays nothing for it.

package attack

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gate is laid out for both processes alike.
type gate struct {
	closed int64    // how many want quiet
	moving [2]int64 // whether the thread, and the process, is in the middle of a move
}

func openGate(root string) *gate {
	file, err := os.OpenFile(filepath.Join(root, "gate"), os.O_CREATE|os.O_RDWR, 0o600)
	must(err)
	defer file.Close()
	must(file.Truncate(4096))
	memory, err := unix.Mmap(int(file.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	must(err)
	return (*gate)(unsafe.Pointer(&memory[0]))
}

// enter begins a move of an attacker; false says that it must wait.
func (g *gate) enter(attacker int) bool {
	atomic.StoreInt64(&g.moving[attacker], 1)
	if atomic.LoadInt64(&g.closed) == 0 {
		return true
	}
	g.leave(attacker)
	yield()
	return false
}

func (g *gate) leave(attacker int) { atomic.StoreInt64(&g.moving[attacker], 0) }

// quiet does something while no attacker moves.
func (g *gate) quiet(do func()) {
	atomic.AddInt64(&g.closed, 1)
	defer atomic.AddInt64(&g.closed, -1)
	for i := range g.moving {
		for atomic.LoadInt64(&g.moving[i]) != 0 {
			yield()
		}
	}
	do()
}

// yield lets others run, but never sleeps: an attacker that wakes up too late attacks nothing.
func yield() { unix.Syscall(unix.SYS_SCHED_YIELD, 0, 0, 0) }
