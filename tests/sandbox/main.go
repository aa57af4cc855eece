//go:build linux && (amd64 || arm64)

// Command sandbox runs a command in which system calls fail, by a seccomp filter as an old kernel's
// absence (ENOSYS), a container's profile (EPERM) or a security module (EACCES) would have it.
//
//	sandbox openat2,statx EPERM COMMAND [ARGUMENT...]
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// numbers are those of the newer calls that the port does without where they fail.
var numbers = map[string]uint32{
	"openat2":    437,
	"statx":      map[string]uint32{"amd64": 332, "arm64": 291}[runtime.GOARCH],
	"open_tree":  428,
	"move_mount": 429,
	"fsopen":     430,
	"fsconfig":   431,
	"fsmount":    432,
	"fspick":     433,

	"mount_setattr": 442,
	"statmount":     457,
}

var errnos = map[string]syscall.Errno{"ENOSYS": syscall.ENOSYS, "EPERM": syscall.EPERM, "EACCES": syscall.EACCES}

// From linux/audit.h, linux/seccomp.h and linux/prctl.h.
var auditArch = map[string]uint32{"amd64": 0xc000003e, "arm64": 0xc00000b7}[runtime.GOARCH]

const (
	offsetOfNumber, offsetOfArch = 0, 4

	returnAllow = 0x7fff0000
	returnErrno = 0x00050000

	prSetNoNewPrivs = 38
	modeFilter      = 2
)

func main() {
	if len(os.Args) < 4 {
		fail("usage: sandbox CALL[,CALL...] ENOSYS|EPERM|EACCES COMMAND [ARGUMENT...]")
	}
	errno, known := errnos[os.Args[2]]
	if !known {
		fail("it knows no errno %q", os.Args[2])
	}
	var calls []uint32
	for _, name := range strings.Split(os.Args[1], ",") {
		number, known := numbers[name]
		if !known {
			fail("it knows no system call %q", name)
		}
		calls = append(calls, number)
	}
	program, err := exec.LookPath(os.Args[3])
	if err != nil {
		fail("%v", err)
	}
	// The filter is this thread's, and what the thread executes inherits it.
	runtime.LockOSThread()
	if err := install(filter(calls, errno)); err != nil {
		fail("seccomp: %v", err)
	}
	fail("%s: %v", program, syscall.Exec(program, os.Args[3:], os.Environ()))
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "sandbox: "+format+"\n", args...)
	os.Exit(125)
}

// filter is a program that answers the errno to the calls and allows all others. Calls of another
// architecture, 32-bit ones say, have other numbers and are allowed.
func filter(calls []uint32, errno syscall.Errno) []syscall.SockFilter {
	program := []syscall.SockFilter{
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: offsetOfArch},
		{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: auditArch, Jf: uint8(len(calls) + 1)},
		{Code: syscall.BPF_LD | syscall.BPF_W | syscall.BPF_ABS, K: offsetOfNumber},
	}
	for i, call := range calls {
		program = append(program, syscall.SockFilter{Code: syscall.BPF_JMP | syscall.BPF_JEQ | syscall.BPF_K, K: call, Jt: uint8(len(calls) - i)})
	}
	return append(program,
		syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: returnAllow},
		syscall.SockFilter{Code: syscall.BPF_RET | syscall.BPF_K, K: returnErrno | uint32(errno)},
	)
}

func install(program []syscall.SockFilter) error {
	// Who is not root may install a filter only so.
	if _, _, errno := syscall.Syscall6(syscall.SYS_PRCTL, prSetNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	prog := syscall.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if _, _, errno := syscall.Syscall(syscall.SYS_PRCTL, syscall.PR_SET_SECCOMP, modeFilter, uintptr(unsafe.Pointer(&prog))); errno != 0 {
		return errno
	}
	return nil
}
