// What is mounted, read from the kernel with no help from what is under test; and who ran mount(8).

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

type mount struct{ id, root, target, options string }

// mountsBelow lists what is mounted at a directory and below it.
func mountsBelow(directory string) ([]mount, error) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found []mount
	for _, line := range strings.Split(strings.TrimSpace(string(table)), "\n") {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			return nil, fmt.Errorf("/proc/self/mountinfo has the line %q", line)
		}
		m := mount{id: fields[0], root: unescape(fields[3]), target: unescape(fields[4]), options: fields[5]}
		if m.target == directory || strings.HasPrefix(m.target, directory+"/") {
			found = append(found, m)
		}
	}
	return found, nil
}

// unescape undoes what the kernel does to blanks in paths.
func unescape(field string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(field)
}

// counted are the programs that a kubelet may mount by.
var counted = []string{"mount", "umount", "systemd-run"}

// programs holds the counted programs themselves while stand-ins are mounted on their places. A folder at
// the front of the PATH would not do: the port's mounter passes everything to mount-utils' where mount or
// umount lies outside the system's directories.
const programs = nodes + "/programs"

// standInsUp mounts this program on the counted ones that the machine has.
func standInsUp() error {
	if err := os.MkdirAll(programs, 0o755); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range counted {
		program, err := place(name)
		if err != nil {
			continue
		}
		content, err := os.ReadFile(program)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(programs, name), content, 0o755); err != nil {
			return err
		}
		if err := syscall.Mount(self, program, "", syscall.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// standInsDown takes them away again, so that they do not slow down what is timed.
func standInsDown() error {
	for _, name := range counted {
		if program, err := place(name); err == nil {
			if err := syscall.Unmount(program, syscall.MNT_DETACH); err != nil {
				return err
			}
		}
	}
	return nil
}

// place is where a program lies, with no symlink in the path.
func place(name string) (string, error) {
	program, err := exec.LookPath(name)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(program)
}

// standIn notes the arguments of a counted program if a kubelet started it, and becomes that program.
func standIn(name string) {
	if file := os.Getenv("MOUNT_CALLS"); file != "" {
		notes, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		check(err)
		_, err = fmt.Fprintln(notes, strings.Join(append([]string{name}, os.Args[1:]...), " "))
		check(err)
	}
	check(syscall.Exec(filepath.Join(programs, name), os.Args, os.Environ()))
}

// calls are the processes that a kubelet started since the last time it was asked: those of mount and
// umount for sub paths, and the command lines of all.
type calls struct {
	mount, umount int
	all           []string
}

func takeCalls(file string) (calls, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return calls{}, err
	}
	var c calls
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		if line == "" {
			continue
		}
		c.all = append(c.all, line)
		switch {
		case !strings.Contains(line, "/volume-subpaths/"):
		case strings.HasPrefix(line, "mount "):
			c.mount++
		case strings.HasPrefix(line, "umount "):
			c.umount++
		}
	}
	return c, os.Truncate(file, 0)
}
