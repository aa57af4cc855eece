//go:build linux && (amd64 || arm64)

// What the launcher promises: in the command, and in what the command starts, the named calls fail
// with the errno, and the others do not.

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const asCommand = "SANDBOX_TEST_COMMAND"

// TestMain lets this program be the command, which tells the errno of each call.
func TestMain(m *testing.M) {
	switch os.Getenv(asCommand) {
	case "child":
		// One process further down.
		os.Setenv(asCommand, "tell")
		child := exec.Command("/proc/self/exe")
		child.Stdout = os.Stdout
		if err := child.Run(); err != nil {
			panic(err)
		}
	case "tell":
		for name, number := range numbers {
			// Every one is asked for what it cannot do: a bad pointer, or a bad descriptor.
			_, _, errno := syscall.Syscall6(uintptr(number), ^uintptr(0), 0, 0, 0, 0, 0)
			fmt.Printf("%s=%d\n", name, errno)
		}
	default:
		os.Exit(m.Run())
	}
}

func TestTheNamedCallsFailAndNoOthers(t *testing.T) {
	launcher := filepath.Join(t.TempDir(), "sandbox")
	if out, err := exec.Command("go", "build", "-o", launcher, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// Who is not root is refused some of them anyway.
	outside := exec.Command(self)
	outside.Env = append(os.Environ(), asCommand+"=child")
	usual, err := outside.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, usual)
	}
	for errnoName, errno := range errnos {
		for _, without := range []string{"openat2", "statx", "open_tree", "move_mount", "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "statmount", "openat2,statx,open_tree,move_mount,fsopen,fsconfig,fsmount,fspick,mount_setattr,statmount"} {
			command := exec.Command(launcher, without, errnoName, self)
			command.Env = append(os.Environ(), asCommand+"=child")
			out, err := command.CombinedOutput()
			if err != nil {
				t.Fatalf("without %s, %s: %v\n%s", without, errnoName, err, out)
			}
			for _, line := range strings.SplitAfter(strings.TrimSpace(string(usual))+"\n", "\n") {
				name, _, _ := strings.Cut(line, "=")
				if strings.Contains(","+without+",", ","+name+",") {
					line = fmt.Sprintf("%s=%d\n", name, errno)
				}
				if !strings.Contains(string(out), line) {
					t.Errorf("without %s, %s: the calls answer\n%s", without, errnoName, out)
				}
			}
		}
	}
}

func TestWhatItCannotDoItSays(t *testing.T) {
	launcher := filepath.Join(t.TempDir(), "sandbox")
	if out, err := exec.Command("go", "build", "-o", launcher, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, row := range []struct{ args, want string }{
		{"statx EPERM", "usage"},
		{"statz EPERM true", `it knows no system call "statz"`},
		{"statx ENOENT true", `it knows no errno "ENOENT"`},
		{"statx EPERM /no/such/program", "/no/such/program"},
	} {
		out, err := exec.Command(launcher, strings.Fields(row.args)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), row.want) {
			t.Errorf("%s: %v, %s", row.args, err, out)
		}
	}
}
