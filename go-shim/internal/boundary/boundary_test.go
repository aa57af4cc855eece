//go:build cgo

package boundary

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"k8s.io/mount-utils"

	"rustsubpath/internal/testutil"
)

func TestTheMounterInUseIsAnnouncedOnce(t *testing.T) {
	for _, row := range []struct {
		mounter mount.Interface
		says    string
	}{
		{mount.New(""), "; mounts and unmounts by system calls of its own\n"},
		{&testutil.Recorder{}, "; mounts and unmounts by the caller's *testutil.Recorder\n"},
	} {
		nativeOnce, forwardOnce = sync.Once{}, sync.Once{}
		var log testutil.Lines
		testutil.KlogTo(t, 1, "", &log)
		Announce(For(row.mounter, 0))
		if got := log.Take(); got != "" {
			t.Errorf("at V(1) it says %q", got)
		}
		testutil.KlogTo(t, 2, "", &log)
		Announce(For(row.mounter, 0))
		Announce(For(row.mounter, 0))
		got := log.Take()
		if !strings.HasPrefix(got, "I subpath_linux.go: rustsubpath ") || !strings.Contains(got, "openat2=") ||
			!strings.HasSuffix(got, row.says) || strings.Count(got, "\n") != 1 {
			t.Errorf("at V(2) it says %q", got)
		}
	}
}

func TestAnUnknownSwitchIsWarnedOf(t *testing.T) {
	warnOnce = sync.Once{}
	var log testutil.Lines
	testutil.KlogTo(t, 0, "", &log)
	t.Setenv(MounterVariable, "native")
	for range [2]int{} {
		if !IsNative(mount.New("")) {
			t.Error("the native mounter is off")
		}
	}
	got := log.Take()
	if !strings.HasPrefix(got, "W ") || !strings.Contains(got, `RUSTSUBPATH_MOUNTER="native"`) || strings.Count(got, "\n") != 1 {
		t.Errorf("klog got %q", got)
	}
}

func TestNothingIsPrintedAfterALoggerLeft(t *testing.T) {
	lines := 0
	testutil.KlogTo(t, 5, "", testutil.Leaver{On: "line", Leave: func() { lines++; panic("no log") }})
	p := printer{file: logFileOf(Mount)}
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

func TestOnlyMountUtilsOwnMounterIsReplaced(t *testing.T) {
	type embeds struct{ *mount.Mounter }
	own := mount.New("").(*mount.Mounter)
	if !IsNative(own) {
		t.Error("*mount.Mounter is not replaced")
	}
	safe := func(inner mount.Interface) *mount.SafeFormatAndMount {
		return &mount.SafeFormatAndMount{Interface: inner}
	}
	for name, mounter := range map[string]mount.Interface{
		"by pointer": safe(own), "by value": *safe(own), "in another": safe(safe(own)), "value in value": *safe(*safe(own)),
	} {
		if !IsNative(mounter) {
			t.Errorf("*mount.Mounter in a SafeFormatAndMount is not replaced: %s", name)
		}
	}
	type embedsSafe struct{ *mount.SafeFormatAndMount }
	circle := safe(nil)
	circle.Interface = circle
	for _, mounter := range []mount.Interface{
		nil, embeds{own}, &embeds{own}, mount.NewFakeMounter(nil),
		(*mount.SafeFormatAndMount)(nil), safe(nil), *safe(nil), safe((*mount.SafeFormatAndMount)(nil)), circle,
		safe(embeds{own}), safe(mount.NewFakeMounter(nil)), embedsSafe{safe(own)}, &embedsSafe{safe(own)},
	} {
		if IsNative(mounter) {
			t.Errorf("%T is replaced", mounter)
		}
	}
	t.Setenv(MounterVariable, "forward")
	if IsNative(own) {
		t.Error("*mount.Mounter is replaced in spite of " + MounterVariable + "=forward")
	}
}

func TestALibraryOfAnotherVersionFailsEveryOperationWithOneSentence(t *testing.T) {
	if Problem != nil {
		t.Fatalf("the library linked here does not fit: %v", Problem)
	}
	defer func() { Problem = nil }()
	Problem = checkLibrary(libraryVersion() + 1)
	if want := fmt.Sprintf("version %d: run \"make build\"", libraryVersion()+1); Problem == nil || !strings.Contains(Problem.Error(), want) {
		t.Fatalf("%v, expected %s", Problem, want)
	}
	for operation := info; operation <= PrepareSubpathTarget; operation++ {
		if result, err := (Settings{}).Do(operation, 0); err != Problem || result != (Result{}) {
			t.Errorf("operation %d: %v, %v", operation, result, err)
		}
	}
	if Info() != Problem.Error() {
		t.Errorf("Info() = %q", Info())
	}
}
