// CleanupMountPoint of both, with a mounter of the caller's own that answers everything it can: the
// same calls, the same error, the same files left.

package mountutils

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/mount-utils"
	"rustsubpath"
)

// answer is what the mounter says to one kind of question, one after the other; the last for ever.
type answer struct {
	mounted bool
	err     error
}

// scripted is a mounter that answers as it is told and notes what it was asked.
type scripted struct {
	mount.FakeMounter
	checks  []answer
	unmount error
	skip    bool
	calls   []string
}

func (s *scripted) call(format string, args ...any) {
	s.calls = append(s.calls, fmt.Sprintf(format, args...))
}

func (s *scripted) next() answer {
	a := s.checks[0]
	if len(s.checks) > 1 {
		s.checks = s.checks[1:]
	}
	return a
}

func (s *scripted) IsMountPoint(file string) (bool, error) {
	s.call("IsMountPoint(%s)", file)
	a := s.next()
	return a.mounted, a.err
}

func (s *scripted) IsLikelyNotMountPoint(file string) (bool, error) {
	s.call("IsLikelyNotMountPoint(%s)", file)
	a := s.next()
	return !a.mounted, a.err
}

func (s *scripted) CanSafelySkipMountPointCheck() bool {
	s.call("CanSafelySkipMountPointCheck()")
	return s.skip
}

func (s *scripted) Unmount(target string) error {
	s.call("Unmount(%s)", target)
	return s.unmount
}

// kinds are what the path can be, made in an empty directory.
var kinds = map[string]func(path string) error{
	"directory":     func(path string) error { return os.Mkdir(path, 0o755) },
	"not empty":     func(path string) error { return os.MkdirAll(path+"/kept", 0o755) },
	"file":          func(path string) error { return os.WriteFile(path, nil, 0o644) },
	"link":          func(path string) error { return errors.Join(os.Mkdir(path+".to", 0o755), os.Symlink(path+".to", path)) },
	"dangling link": func(path string) error { return os.Symlink("missing", path) },
	"loop":          func(path string) error { return os.Symlink(filepath.Base(path), path) },
	"missing":       func(string) error { return nil },
	"in a file":     func(path string) error { return os.WriteFile(filepath.Dir(path), nil, 0o644) },
}

// outcome is everything that can be seen of a clean-up.
func outcome(dir string, s *scripted, err error) string {
	var left []string
	filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		left = append(left, path)
		return err
	})
	seen := fmt.Sprintf("%T %v, not exist %v, corrupted %v\n%s\nleft: %q", err, err, os.IsNotExist(err), mount.IsCorruptedMnt(err),
		strings.Join(s.calls, "\n"), left)
	return strings.ReplaceAll(seen, dir, "DIR")
}

func TestCleanupWithAMounterOfTheCallersOwn(t *testing.T) {
	own := errors.New("the mounter's own")
	yes, no := answer{mounted: true}, answer{}
	scripts := [][]answer{
		{no}, {yes}, {yes, no}, {yes, {err: own}}, {yes, {mounted: true, err: own}}, {yes, {err: fs.ErrNotExist}}, {yes, {err: syscall.ENOENT}},
		{{err: own}}, {{mounted: true, err: own}}, {{err: fs.ErrNotExist}}, {{err: syscall.ESTALE}}, {{err: &fs.PathError{Op: "stat", Path: "x", Err: syscall.ENOTCONN}}},
	}
	ours := &tally{name: "the port"}
	run := func(clean func(string, *scripted) error, lay func(string) error, script []answer, unmount error, skip bool) string {
		dir, err := os.MkdirTemp("/mnt", "")
		must(t, err)
		defer os.RemoveAll(dir)
		must(t, os.Mkdir(dir+"/parent", 0o755))
		path := dir + "/parent/mount point"
		if err := lay(path); err != nil {
			// The parent is to be a file.
			must(t, os.Remove(dir+"/parent"))
			must(t, lay(path))
		}
		s := &scripted{checks: script, unmount: unmount, skip: skip}
		return outcome(dir, s, clean(path, s))
	}
	for kind, lay := range kinds {
		for _, script := range scripts {
			for _, unmount := range []error{nil, own} {
				for _, skip := range []bool{false, true} {
					for _, extensive := range []bool{false, true} {
						name := fmt.Sprintf("%s, %v, unmount %v, skip %v, extensive %v", kind, script, unmount, skip, extensive)
						theirs := run(func(path string, s *scripted) error { return mount.CleanupMountPoint(path, s, extensive) }, lay, script, unmount, skip)
						port := run(func(path string, s *scripted) error { return rustsubpath.CleanupMountPoint(path, s, extensive) }, lay, script, unmount, skip)
						ours.check(port == theirs, "%s:\n%s\nmount-utils:\n%s", name, port, theirs)
					}
				}
			}
		}
	}
	report(t, ours)
}
