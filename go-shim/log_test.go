//go:build cgo

// klog gets the original's lines, as they are, at the original's levels.

package rustsubpath

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"

	"k8s.io/klog/v2"
	"k8s.io/mount-utils"
)

// klogTo sends klog's lines to a writer for the length of a test.
func klogTo(t testing.TB, verbosity int, vmodule string, w interface{ Write([]byte) (int, error) }) {
	t.Helper()
	flags := flag.NewFlagSet("klog", flag.ContinueOnError)
	klog.InitFlags(flags)
	set := func(name, value string) { must(t, flags.Set(name, value)) }
	set("logtostderr", "false")
	set("alsologtostderr", "false")
	set("stderrthreshold", "FATAL")
	set("one_output", "true")
	set("v", fmt.Sprint(verbosity))
	set("vmodule", vmodule)
	klog.SetOutput(w)
	t.Cleanup(func() {
		klog.SetOutput(os.Stderr)
		set("v", "0")
		set("vmodule", "")
		set("one_output", "false")
		set("logtostderr", "true")
	})
}

// lines is a writer that keeps klog's lines without their time, thread and line number.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

var header = regexp.MustCompile(`(?m)^([IWEF])\d{4} [\d:.]+ +\d+ ([a-z_]+\.go):\d+\] `)

func (l *lines) take() string {
	klog.Flush()
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.text.Reset()
	return header.ReplaceAllString(l.text.String(), "$1 $2: ")
}

func TestLinesComeAtTheOriginalsLevels(t *testing.T) {
	for verbosity := 0; verbosity <= 5; verbosity++ {
		t.Run(fmt.Sprint(verbosity), func(t *testing.T) {
			s, r := newSite(t), &recorder{}
			var log lines
			klogTo(t, verbosity, "", &log)
			subpather := New(r, ProfileV129)
			log.take()

			_, _, err := subpather.PrepareSafeSubpath(s.subpath("dir"))
			must(t, err)
			target, source := s.target(), s.volume+"/dir"
			expectLines(t, &log, verbosity, []line{
				{5, fmt.Sprintf("doBindSubPath %q (%q) for volumepath %q", source, source, s.volume)},
				{5, "Opening path " + source},
				{5, fmt.Sprintf("bind mounting %q at %q", "/proc/SELF/fd/N", target)},
				{3, "Bound SubPath " + source + " into " + target},
			})

			must(t, subpather.CleanSubPaths(s.pod, "vol"))
			all := s.pod + "/volume-subpaths"
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

			must(t, subpather.SafeMakeDir("made", s.volume, 0o755))
			expectLines(t, &log, verbosity, []line{
				{4, fmt.Sprintf("Creating directory %q within base %q", s.volume+"/made", s.volume)},
				{4, fmt.Sprintf("%q already exists, %q to create", s.volume, "made")},
				{5, "Opening path " + s.volume},
				{4, "Creating made"},
			})
		})
	}
}

type line struct {
	level int
	text  string
}

func expectLines(t *testing.T, log *lines, verbosity int, want []line) {
	t.Helper()
	got := procFD.ReplaceAllString(log.take(), "/proc/SELF/fd/N")
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
	var log lines
	klogTo(t, 0, "subpath_linux=5", &log)
	must(t, New(nil, ProfileV129).SafeMakeDir("made", s.volume, 0o755))
	if got := log.take(); !strings.Contains(got, "I subpath_linux.go: Creating made\n") {
		t.Errorf("klog got\n%s", got)
	}
}

func TestALineKeepsEveryByte(t *testing.T) {
	s := newSite(t)
	var log lines
	klogTo(t, 5, "", &log)
	name := "odd \xff%s\n\"\\ name"
	must(t, New(nil, ProfileV129).SafeMakeDir(name, s.volume, 0o755))
	got := log.take()
	for _, want := range []string{"Creating " + name + "\n", fmt.Sprintf("Creating directory %q within", s.volume+"/"+name)} {
		if !strings.Contains(got, want) {
			t.Errorf("klog got\n%q\nwithout %q", got, want)
		}
	}
}

func TestWarningsAndErrorsComeAtAnyVerbosity(t *testing.T) {
	s := newSite(t)
	var log lines
	klogTo(t, 0, "", &log)
	must(t, CleanupMountPoint(s.pod+"/none", &recorder{}, true))
	if got, want := log.take(), "W subpath_linux.go: Mount cleanup skipped because path does not exist: "+s.pod+"/none\n"; !strings.HasSuffix(got, want) {
		t.Errorf("klog got %q, expected %q", got, want)
	}

	busy := errors.New("busy")
	r := &recorder{onMount: func(string) error { return errors.New("refused") }}
	r.onIsMountPoint = func(string) error {
		if len(r.calls) > 1 {
			return busy
		}
		return nil
	}
	if _, _, err := New(r, ProfileV129).PrepareSafeSubpath(s.subpath("dir")); err == nil {
		t.Fatal("no error")
	}
	want := fmt.Sprintf("E subpath_linux.go: Failed to clean subpath %q: error cleaning subpath mount %s: busy\n", s.target(), s.target())
	if got := log.take(); got != want {
		t.Errorf("klog got %q, expected %q", got, want)
	}
}

func TestNewSaysOnceWhichMounterIsUsed(t *testing.T) {
	for _, row := range []struct {
		mounter mount.Interface
		says    string
	}{
		{mount.New(""), "; mounts and unmounts by system calls of its own\n"},
		{&recorder{}, "; mounts and unmounts by the caller's *rustsubpath.recorder\n"},
	} {
		nativeOnce, forwardOnce = sync.Once{}, sync.Once{}
		var log lines
		klogTo(t, 1, "", &log)
		New(row.mounter, ProfileV129)
		if got := log.take(); got != "" {
			t.Errorf("at V(1) it says %q", got)
		}
		klogTo(t, 2, "", &log)
		New(row.mounter, ProfileV129)
		New(row.mounter, ProfileV129)
		got := log.take()
		if !strings.HasPrefix(got, "I subpath_linux.go: rustsubpath ") || !strings.Contains(got, "openat2=") ||
			!strings.HasSuffix(got, row.says) || strings.Count(got, "\n") != 1 {
			t.Errorf("at V(2) it says %q", got)
		}
	}
}

func TestAnUnknownSwitchIsWarnedOf(t *testing.T) {
	warnOnce = sync.Once{}
	var log lines
	klogTo(t, 0, "", &log)
	t.Setenv(mounterVariable, "native")
	for range [2]int{} {
		if !choose(mount.New("")) {
			t.Error("the native mounter is off")
		}
	}
	got := log.take()
	if !strings.HasPrefix(got, "W ") || !strings.Contains(got, `RUSTSUBPATH_MOUNTER="native"`) || strings.Count(got, "\n") != 1 {
		t.Errorf("klog got %q", got)
	}
}

// leaver is a writer that does something else than write when a line has a certain text.
type leaver struct {
	on    string
	leave func()
}

func (l leaver) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte(l.on)) {
		l.leave()
	}
	return len(p), nil
}

func TestALoggerMayLeave(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			s, r := newSite(t), &recorder{}
			lines := 0
			klogTo(t, 5, "", leaver{"Opening path", func() { lines++; way.leave() }})
			frames := idleFrames()
			leavesNoFiles(t, func() {
				runs(func() { prepareDir(s, r, ProfileV129) }).expect(t, way.leave)
				lines = 0
				runs(func() { DoSafeOpen(s.volume+"/dir/deep", s.volume) }).expect(t, way.leave)
			})
			if lines != 1 {
				t.Errorf("%d lines after the logger left", lines-1)
			}
			// The original would not have got further either.
			expectCalls(t, r)
			if left := s.left(t); left != nil {
				t.Errorf("left behind: %q", left)
			}
			if now := idleFrames(); now < frames {
				t.Errorf("%d idle frames, %d before", now, frames)
			}
		})
	}
}

func TestNothingIsPrintedAfterALoggerLeft(t *testing.T) {
	lines := 0
	klogTo(t, 5, "", leaver{"line", func() { lines++; panic("no log") }})
	var p printer
	p.add(logLine{3, "line 1"})
	for ended := false; !ended; runtime.Gosched() {
		p.mu.Lock()
		ended = p.done == nil
		p.mu.Unlock()
	}
	p.add(logLine{3, "line 2"})
	if way := p.wait(); way == nil || way.value != "no log" || lines != 1 {
		t.Errorf("%d lines, left by %+v", lines, way)
	}
	p.add(logLine{3, "line 3"})
	if way := p.wait(); way == nil || lines != 2 {
		t.Errorf("the clean-up's line is not printed: %d lines, left by %+v", lines, way)
	}
}

func TestALoggerThatLeavesBeforeTheMountHasItCleanedUp(t *testing.T) {
	s, r := newSite(t), &recorder{}
	klogTo(t, 5, "", leaver{"bind mounting", func() { panic("no log") }})
	leavesNoFiles(t, func() {
		runs(func() { prepareDir(s, r, ProfileV129) }).expect(t, func() { panic("no log") })
	})
	is := "IsMountPoint(" + s.target() + ")"
	expectCalls(t, r, is, "CanSafelySkipMountPointCheck()", is)
	if left := s.left(t); left != nil {
		t.Errorf("left behind: %q", left)
	}
}

func TestALoggerThatLeavesDuringTheCleanUpAfterAPanicReplacesIt(t *testing.T) {
	s, r := newSite(t), &recorder{onMount: func(string) error { panic("first") }}
	// The last line of the clean-up: no question follows.
	klogTo(t, 5, "", leaver{"Removed directory", func() { panic("no log") }})
	runs(func() { prepareDir(s, r, ProfileV129) }).expect(t, func() {
		defer func() { panic("no log") }()
		panic("first")
	})
}

// A line is there when the operation hangs after it, here because another holds the target.
func TestALineIsPrintedWhileItsOperationIsStillInTheLibrary(t *testing.T) {
	s := newSite(t)
	var log lines
	klogTo(t, 5, "", &log)
	mounting, goOn := make(chan struct{}), make(chan struct{})
	r := &recorder{onMount: func(string) error { close(mounting); <-goOn; return nil }}
	first, second := make(chan error, 1), make(chan error, 1)
	prepare := func(mounter *Subpather, path string, ended chan error) {
		_, _, err := mounter.PrepareSafeSubpath(s.subpath(path))
		ended <- err
	}
	go prepare(New(r, ProfileV129), "dir", first)
	<-mounting
	log.take()
	go prepare(native(t, ProfileV129), "dir/deep", second)
	for text := ""; !strings.Contains(text, "Opening path "+s.volume+"/dir/deep\n"); text += log.take() {
		select {
		case err := <-second:
			t.Fatalf("it was over before its lines came: %v", err)
		default:
			runtime.Gosched()
		}
	}
	close(goOn)
	must(t, <-first)
	must(t, <-second)
	must(t, native(t, ProfileV129).CleanSubPaths(s.pod, "vol"))
}

func TestLinesOfOneOperationStayInOrderUnderLoad(t *testing.T) {
	var log lines
	klogTo(t, 5, "", &log)
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
				if err := New(nil, ProfileV129).SafeMakeDir(fmt.Sprint("made", n), s.volume, 0o755); err != nil {
					t.Error(err)
				}
				runtime.Gosched()
			}
		}(sites[i])
	}
	wait.Wait()
	got := log.take()
	for _, s := range sites {
		last := -1
		for n := 0; n < rounds; n++ {
			at := strings.Index(got, fmt.Sprintf("Creating directory %q within", fmt.Sprint(s.volume, "/made", n)))
			if at <= last {
				t.Fatalf("%s: the line of made%d comes at %d, the one before it at %d", s.volume, n, at, last)
			}
			last = at
		}
	}
}
