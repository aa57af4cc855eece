//go:build cgo

// klog gets the original's lines, as they are, at the original's levels.

package rustsubpath

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"rustsubpath/internal/boundary"
	"rustsubpath/internal/testutil"
)

func TestLinesComeAtTheOriginalsLevels(t *testing.T) {
	for verbosity := 0; verbosity <= 5; verbosity++ {
		t.Run(fmt.Sprint(verbosity), func(t *testing.T) {
			s, r := newSite(t), &testutil.Recorder{}
			var log testutil.Lines
			testutil.KlogTo(t, verbosity, "", &log)
			subpather := New(r, ProfileV129)
			log.Take()

			_, _, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
			testutil.Must(t, err)
			target, source := s.Target(), s.Volume+"/dir"
			expectLines(t, &log, verbosity, []line{
				{5, fmt.Sprintf("doBindSubPath %q (%q) for volumepath %q", source, source, s.Volume)},
				{5, "Opening path " + source},
				{5, fmt.Sprintf("bind mounting %q at %q", "/proc/SELF/fd/N", target)},
				{3, "Bound SubPath " + source + " into " + target},
			})

			testutil.Must(t, subpather.CleanSubPaths(s.Pod, "vol"))
			all := s.Pod + "/volume-subpaths"
			expectLines(t, &log, verbosity, []line{
				{4, "Cleaning up subpath mounts for " + all + "/vol"},
				{4, "Cleaning up subpath mounts for container c"},
				{4, "Cleaning up subpath mounts for subpath 1"},
				{4, fmt.Sprintf("%q is a mountpoint, unmounting", target)},
				{4, fmt.Sprintf("%q is not a mountpoint, deleting", target)},
				{4, "Successfully cleaned subpath directory " + target},
				{5, "Removed " + all + "/vol/c"},
				{5, "Removed " + all + "/vol"},
				{5, "Removed " + all},
			})

			testutil.Must(t, subpather.SafeMakeDir("made", s.Volume, 0o755))
			expectLines(t, &log, verbosity, []line{
				{4, fmt.Sprintf("Creating directory %q within base %q", s.Volume+"/made", s.Volume)},
				{4, fmt.Sprintf("%q already exists, %q to create", s.Volume, "made")},
				{5, "Opening path " + s.Volume},
				{4, "Creating made"},
			})
		})
	}
}

type line struct {
	level int
	text  string
}

func expectLines(t *testing.T, log *testutil.Lines, verbosity int, want []line) {
	t.Helper()
	got := testutil.ProcFD.ReplaceAllString(log.Take(), "/proc/SELF/fd/N")
	var expected strings.Builder
	for _, l := range want {
		if l.level <= verbosity {
			expected.WriteString("I subpath_linux.go: " + l.text + "\n")
		}
	}
	if got != expected.String() {
		t.Errorf("klog got\n%s\nexpected\n%s", got, expected.String())
	}
}

func TestVmoduleAppliesToTheOriginalsFileName(t *testing.T) {
	s := newSite(t)
	var log testutil.Lines
	testutil.KlogTo(t, 0, "subpath_linux=5", &log)
	testutil.Must(t, New(nil, ProfileV129).SafeMakeDir("made", s.Volume, 0o755))
	if got := log.Take(); !strings.Contains(got, "I subpath_linux.go: Creating made\n") {
		t.Errorf("klog got\n%s", got)
	}
}

func TestALineKeepsEveryByte(t *testing.T) {
	s := newSite(t)
	var log testutil.Lines
	testutil.KlogTo(t, 5, "", &log)
	name := "odd \xff%s\n\"\\ name"
	testutil.Must(t, New(nil, ProfileV129).SafeMakeDir(name, s.Volume, 0o755))
	got := log.Take()
	for _, want := range []string{"Creating " + name + "\n", fmt.Sprintf("Creating directory %q within", s.Volume+"/"+name)} {
		if !strings.Contains(got, want) {
			t.Errorf("klog got\n%q\nwithout %q", got, want)
		}
	}
}

func TestWarningsAndErrorsComeAtAnyVerbosity(t *testing.T) {
	s := newSite(t)
	var log testutil.Lines
	testutil.KlogTo(t, 0, "", &log)
	testutil.Must(t, CleanupMountPoint(s.Pod+"/none", &testutil.Recorder{}, true))
	if got, want := log.Take(), "W subpath_linux.go: Mount cleanup skipped because path does not exist: "+s.Pod+"/none\n"; !strings.HasSuffix(got, want) {
		t.Errorf("klog got %q, expected %q", got, want)
	}

	busy := errors.New("busy")
	r := &testutil.Recorder{OnMount: func(string) error { return errors.New("refused") }}
	r.OnIsMountPoint = func(string) error {
		if len(r.Calls) > 1 {
			return busy
		}
		return nil
	}
	if _, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir")); err == nil {
		t.Fatal("no error")
	}
	want := fmt.Sprintf("E subpath_linux.go: Failed to clean subpath %q: error cleaning subpath mount %s: busy\n", s.Target(), s.Target())
	if got := log.Take(); got != want {
		t.Errorf("klog got %q, expected %q", got, want)
	}
}

func TestALoggerMayLeave(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s, r := newSite(t), &testutil.Recorder{}
			lines := 0
			testutil.KlogTo(t, 5, "", testutil.Leaver{On: "Opening path", Leave: func() { lines++; way.leave() }})
			frames := boundary.IdleFrames()
			testutil.LeavesNoFiles(t, func() {
				runs(func() { prepareDir(s, r, ProfileV129) }).expect(t, way.leave)
			})
			if lines != 1 {
				t.Errorf("%d lines after the logger left", lines-1)
			}
			// The original would not have got further either.
			testutil.ExpectCalls(t, r)
			s.ExpectNothing(t)
			if now := boundary.IdleFrames(); now < frames {
				t.Errorf("%d idle frames, %d before", now, frames)
			}
		})
	}
}

func TestALoggerThatLeavesBeforeTheMountHasItCleanedUp(t *testing.T) {
	s, r := newSite(t), &testutil.Recorder{}
	testutil.KlogTo(t, 5, "", testutil.Leaver{On: "bind mounting", Leave: func() { panic("no log") }})
	testutil.LeavesNoFiles(t, func() {
		runs(func() { prepareDir(s, r, ProfileV129) }).expect(t, func() { panic("no log") })
	})
	is := "IsMountPoint(" + s.Target() + ")"
	testutil.ExpectCalls(t, r, is, "CanSafelySkipMountPointCheck()", is)
	s.ExpectNothing(t)
}

func TestALoggerThatLeavesDuringTheCleanUpAfterAPanicReplacesIt(t *testing.T) {
	s, r := newSite(t), &testutil.Recorder{OnMount: func(string) error { panic("first") }}
	// The last line of the clean-up: no question follows.
	testutil.KlogTo(t, 5, "", testutil.Leaver{On: "Removed directory", Leave: func() { panic("no log") }})
	runs(func() { prepareDir(s, r, ProfileV129) }).expect(t, func() {
		defer func() { panic("no log") }()
		panic("first")
	})
}

// A line is there when the operation hangs after it, here because another holds the target.
func TestALineIsPrintedWhileItsOperationIsStillInTheLibrary(t *testing.T) {
	s := newSite(t)
	var log testutil.Lines
	testutil.KlogTo(t, 5, "", &log)
	mounting, goOn := make(chan struct{}), make(chan struct{})
	r := &testutil.Recorder{OnMount: func(string) error { close(mounting); <-goOn; return nil }}
	first, second := make(chan error, 1), make(chan error, 1)
	prepare := func(mounter *Subpather, path string, ended chan error) {
		_, _, err := mounter.PrepareSafeSubpath(s.subpath(path))
		ended <- err
	}
	go prepare(New(r, ProfileV129), "dir", first)
	<-mounting
	log.Take()
	go prepare(native(t, ProfileV129), "dir/deep", second)
	for text := ""; !strings.Contains(text, "Opening path "+s.Volume+"/dir/deep\n"); text += log.Take() {
		select {
		case err := <-second:
			t.Fatalf("it was over before its lines came: %v", err)
		default:
			runtime.Gosched()
		}
	}
	close(goOn)
	testutil.Must(t, <-first)
	testutil.Must(t, <-second)
	testutil.Must(t, native(t, ProfileV129).CleanSubPaths(s.Pod, "vol"))
}

func TestLinesOfOneOperationStayInOrderUnderLoad(t *testing.T) {
	var log testutil.Lines
	testutil.KlogTo(t, 5, "", &log)
	const callers, rounds = 4, 25
	var wait sync.WaitGroup
	sites := make([]site, callers)
	for i := range sites {
		sites[i] = newSite(t)
	}
	for i := range sites {
		wait.Add(1)
		go func(s site) {
			defer wait.Done()
			for n := 0; n < rounds; n++ {
				if err := New(nil, ProfileV129).SafeMakeDir(fmt.Sprint("made", n), s.Volume, 0o755); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		}(sites[i])
	}
	wait.Wait()
	got := log.Take()
	for _, s := range sites {
		last := -1
		for n := 0; n < rounds; n++ {
			at := strings.Index(got, fmt.Sprintf("Creating directory %q within", fmt.Sprint(s.Volume, "/made", n)))
			if at <= last {
				t.Fatalf("%s: the line of made%d comes at %d, the one before it at %d", s.Volume, n, at, last)
			}
			last = at
		}
	}
}
