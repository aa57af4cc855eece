// One step of a case: a call on both implementations, or an edit of both sides.

package parity

import (
	"fmt"
	"os"
	"strings"
)

// Op names what a step does, after the original's functions.
type Op string

const (
	OpEdit   Op = "edit"
	OpMake   Op = "SafeMakeDir"
	OpBind   Op = "PrepareSafeSubpath"
	OpClean  Op = "CleanSubPaths"
	OpOpen   Op = "doSafeOpen"
	OpMkdir  Op = "doSafeMakeDir"
	OpPrefix Op = "findExistingPrefix"
	OpEmpty  Op = "removeEmptyDirs"
	OpTarget Op = "prepareSubpathTarget"
)

// Step is a call with everything around it that matters. Its paths are side A's.
type Step struct {
	Op Op

	Path string // SafeMakeDir: subdir; the white-box functions: their first path
	Base string
	Perm os.FileMode
	Sub  Subpath // PrepareSafeSubpath, prepareSubpathTarget; PodDir and VolumeName for CleanSubPaths

	Mounter string  // fake, skip (a fake that answers CanSafelySkipMountPointCheck), real, nil
	Faults  []Fault // on the mounter's methods
	Umask   int
	V       int    // klog's verbosity
	Cred    string // "" root, "nodac" root without the right to pass permission bits, "user" another file system uid

	Edit Edit
}

func (s Step) String() string {
	var b strings.Builder
	switch s.Op {
	case OpEdit:
		return "edit: " + s.Edit.String()
	case OpMake, OpMkdir:
		fmt.Fprintf(&b, "%s(%s, %s, %#o)", s.Op, short(s.Path), short(s.Base), uint32(s.Perm))
	case OpOpen, OpPrefix, OpEmpty:
		fmt.Fprintf(&b, "%s(path %s, base %s)", s.Op, short(s.Path), short(s.Base))
	case OpClean:
		fmt.Fprintf(&b, "%s(%s, %s)", s.Op, short(s.Sub.PodDir), short(s.Sub.VolumeName))
	default:
		fmt.Fprintf(&b, "%s(path %s, volume path %s, volume %s, pod %s, container %s, index %d)", s.Op, short(s.Sub.Path),
			short(s.Sub.VolumePath), short(s.Sub.VolumeName), short(s.Sub.PodDir), short(s.Sub.ContainerName), s.Sub.VolumeMountIndex)
	}
	fmt.Fprintf(&b, " mounter %s, umask %#o, v %d", s.Mounter, s.Umask, s.V)
	if s.Cred != "" {
		fmt.Fprintf(&b, ", as %s", s.Cred)
	}
	for _, f := range s.Faults {
		fmt.Fprintf(&b, "\n      fault: %s", f)
	}
	return b.String()
}

// short quotes a path; the middle of a very long one is left out, its length told instead.
func short(s string) string {
	if len(s) <= 700 {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q…%q (%d bytes)", s[:80], s[len(s)-40:], len(s))
}

// onSide rewrites the step's paths for a side.
func (s Step) onSide(name string) Step {
	if name == nameA {
		return s
	}
	s.Path, s.Base = onB(s.Path), onB(s.Base)
	s.Sub.Path, s.Sub.VolumePath, s.Sub.PodDir = onB(s.Sub.Path), onB(s.Sub.VolumePath), onB(s.Sub.PodDir)
	s.Edit.Node.Target = onB(s.Edit.Node.Target)
	faults := make([]Fault, len(s.Faults))
	for i, f := range s.Faults {
		if f.Again != nil {
			again := f.Again.onSide(name)
			f.Again = &again
		}
		faults[i] = f
	}
	s.Faults = faults
	return s
}

// Case is a tree and the steps taken on it.
type Case struct {
	Seed  uint64
	Tree  []Node
	Steps []Step
}
