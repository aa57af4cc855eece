// What is mounted, read from the kernel with no help from what is under test; and who ran mount(8).

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// countMounts writes stand-ins for mount and umount that note their arguments and then become the
// real ones. They go into a folder for the front of the kubelet's PATH, which mount-utils looks at.
func countMounts(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"mount", "umount"} {
		program, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		script := "#!/bin/sh\necho " + name + ` "$*" >>"$MOUNT_CALLS"` + "\nexec " + program + ` "$@"` + "\n"
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// calls are the processes for sub paths that a kubelet started since the last time it was asked.
type calls struct{ mount, umount int }

func takeCalls(file string) (calls, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return calls{}, err
	}
	var c calls
	for _, line := range strings.Split(string(text), "\n") {
		switch {
		case !strings.Contains(line, "/volume-subpaths/"):
		case strings.HasPrefix(line, "mount "):
			c.mount++
		default:
			c.umount++
		}
	}
	return c, os.Truncate(file, 0)
}
