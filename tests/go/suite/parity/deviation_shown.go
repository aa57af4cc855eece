// Each deliberate deviation shown directly: what the original does and what the port does instead,
// in the smallest case that tells them apart.

package parity

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	mount "k8s.io/mount-utils"
)

// stage is a volume, a pod and a place outside of both, for one implementation.
type stage struct {
	*testing.T
	impl                       Impl
	root, volume, pod, outside string
}

func newStage(t *testing.T, impl Impl) *stage {
	if err := newWorld(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := endWorld(); err != nil {
			t.Error(err)
		}
	})
	root := RootA
	s := &stage{t, impl, root, root + "/volume", root + "/pod", root + "/outside"}
	for _, dir := range []string{s.volume, s.pod, s.outside} {
		s.must(os.Mkdir(dir, 0o755))
	}
	s.must(os.WriteFile(s.volume+"/file", []byte("content"), 0o644))
	s.must(os.WriteFile(s.outside+"/file", []byte("precious"), 0o644))
	return s
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) target() string { return s.pod + "/volume-subpaths/vol/c/0" }

func (s *stage) holdTarget() {
	s.Helper()
	s.must(os.MkdirAll(filepath.Dir(s.target()), 0o750))
}

func (s *stage) prepare() error {
	_, _, err := s.impl.PrepareSafeSubpath(mount.NewFakeMounter(nil), Subpath{
		Path: s.volume + "/file", VolumePath: s.volume, VolumeName: "vol", PodDir: s.pod, ContainerName: "c",
	})
	return err
}

func (s *stage) mkdir(subdir, base string) error {
	return s.impl.SafeMakeDir(mount.NewFakeMounter(nil), subdir, base, 0o750)
}

func (s *stage) exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func (s *stage) read(path string) string {
	s.Helper()
	text, err := os.ReadFile(path)
	s.must(err)
	return string(text)
}

// waits says whether work waits for the FIFO: it is still not done when somebody opens the other end
// after a while, and done thereafter.
func (s *stage) waits(fifo string, work func() error) (bool, error) {
	s.Helper()
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return false, err
	case <-time.After(300 * time.Millisecond):
	}
	end, err := unix.Open(fifo, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	s.must(err)
	defer unix.Close(end)
	return true, <-done
}

// shown says, by the deviation's name, what is seen of an implementation. It must answer one word for
// the original and the other for the port.
var shown = map[string]struct {
	original, port string
	see            func(*stage) string
}{
	"fifo-volume": {"waits", "fails", func(s *stage) string {
		fifo := s.root + "/fifo"
		s.must(unix.Mkfifo(fifo, 0o644))
		switch waited, err := s.waits(fifo, func() error { return s.mkdir("a", fifo) }); {
		case waited:
			return "waits"
		case err != nil:
			return "fails"
		}
		return "succeeds"
	}},
	"made-by-another": {"file exists", "succeeds", func(s *stage) string {
		// The race needs luck; the port must never lose it, the original does sooner or later.
		for round := 0; round < 2000; round++ {
			var group sync.WaitGroup
			errs := make([]error, 8)
			subdir := "round" + itoa(round) + "/a/b"
			for i := range errs {
				group.Add(1)
				go func() { defer group.Done(); errs[i] = s.mkdir(subdir, s.volume) }()
			}
			group.Wait()
			for _, err := range errs {
				if err != nil && strings.HasSuffix(err.Error(), "file exists") {
					return "file exists"
				}
				s.must(err)
			}
		}
		return "succeeds"
	}},
	"made-halfway": {"made", "not made", func(s *stage) string {
		if err := s.mkdir("made/"+strings.Repeat("x", 256), s.volume); err == nil || !strings.HasSuffix(err.Error(), ": file name too long") {
			s.Fatalf("%v", err)
		}
		return map[bool]string{true: "made", false: "not made"}[s.exists(s.volume+"/made")]
	}},
	"link-above-target": {"followed", "refused", func(s *stage) string {
		s.must(os.Symlink(s.outside, s.pod+"/volume-subpaths"))
		err := s.prepare()
		switch followed := s.exists(s.outside + "/vol"); {
		case followed && err == nil:
			return "followed"
		case !followed && err != nil:
			return "refused"
		}
		return "neither"
	}},
	"link-as-target": {"emptied", "kept", func(s *stage) string {
		s.holdTarget()
		s.must(os.Symlink(s.outside+"/file", s.target()))
		s.must(s.prepare())
		if s.read(s.outside+"/file") == "" {
			return "emptied"
		}
		if isLink(s.target()) {
			return "link left"
		}
		return "kept"
	}},
	"mounted-file": {"emptied", "kept", func(s *stage) string {
		s.holdTarget()
		s.must(os.WriteFile(s.target(), nil, 0o640))
		s.must(unix.Mount(s.outside+"/file", s.target(), "", unix.MS_BIND, ""))
		defer unix.Unmount(s.target(), unix.MNT_DETACH)
		s.must(s.prepare()) // its mounter knows of no mount
		if s.read(s.outside+"/file") == "" {
			return "emptied"
		}
		return "kept"
	}},
	"o-directory": {"plain", "O_DIRECTORY", func(s *stage) string {
		s.must(os.Mkdir(s.volume+"/dir", 0o755))
		fd, err := s.impl.DoSafeOpen(s.volume+"/dir", s.volume)
		s.must(err)
		defer unix.Close(fd)
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		s.must(err)
		if flags&unix.O_DIRECTORY != 0 {
			return "O_DIRECTORY"
		}
		return "plain"
	}},
	"fifo-target": {"waits", "succeeds", func(s *stage) string {
		s.holdTarget()
		s.must(unix.Mkfifo(s.target(), 0o640))
		switch waited, err := s.waits(s.target(), s.prepare); {
		case waited:
			return "waits"
		case err != nil:
			return err.Error()
		}
		return "succeeds"
	}},
	"stdin-closed": {"closed", "open", func(s *stage) string {
		var st unix.Stat_t
		s.must(unix.Fstat(0, &st))
		if _, err := s.impl.DoSafeOpen(s.volume+"/a\x00b", s.volume); err == nil {
			s.Fatal("a NUL was opened")
		}
		if unix.Fstat(0, &st) == nil {
			return "open"
		}
		// The sandbox has no /dev/null; any descriptor keeps the place.
		fd, err := unix.Open("/", unix.O_RDONLY, 0)
		s.must(err)
		if fd != 0 {
			s.must(unix.Dup3(fd, 0, 0))
			unix.Close(fd)
		}
		return "closed"
	}},
	"relative-base": {"made elsewhere", "not made", func(s *stage) string {
		s.must(os.MkdirAll(s.root+"/base/base", 0o755))
		was, err := os.Getwd()
		s.must(err)
		s.must(os.Chdir(s.root))
		defer os.Chdir(was)
		if err := s.mkdir("new", "base"); err == nil {
			s.Fatal("a relative base was taken")
		}
		return map[bool]string{true: "made elsewhere", false: "not made"}[s.exists(s.root+"/base/base/new")]
	}},
}

// EachDeviation shows every rule of the list on both sides.
func EachDeviation(t *testing.T, original, port Impl) {
	if !Sandboxed(t) {
		return
	}
	if len(shown) != len(Deviations) {
		t.Errorf("%d deviations, %d of them shown", len(Deviations), len(shown))
	}
	for _, d := range Deviations {
		show, ok := shown[d.Name]
		if !ok {
			t.Errorf("%s is not shown", d.Name)
			continue
		}
		t.Run(d.Name, func(t *testing.T) {
			for _, side := range []struct {
				impl Impl
				want string
			}{{original, show.original}, {port, show.port}} {
				t.Run(side.impl.Name, func(t *testing.T) {
					if saw := show.see(newStage(t, side.impl)); saw != side.want {
						t.Errorf("saw %q, want %q", saw, side.want)
					}
				})
			}
		})
	}
}

// Listed says whether SECURITY.md names every rule of the list.
func Listed(t *testing.T) {
	text, err := os.ReadFile("../../../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range Deviations {
		if !bytes.Contains(text, []byte("`"+d.Name+"`")) {
			t.Errorf("SECURITY.md does not list %s", d.Name)
		}
	}
}
