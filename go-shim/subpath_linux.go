//go:build cgo

// The library's log lines on their way to klog. The file has the name of the original's, which klog
// prints before each line and to which -vmodule=subpath_linux=5 applies.

package rustsubpath

// #include "rustsubpath.h"
import "C"

import (
	"runtime/cgo"

	"k8s.io/klog/v2"
	"k8s.io/mount-utils"
)

// verbosity is the highest level of this package's lines that klog prints, or 0.
func verbosity() klog.Level {
	for level := klog.Level(5); level >= 3; level-- {
		if klog.V(level).Enabled() {
			return level
		}
	}
	return 0
}

// rsp_go_log receives each line while its operation is in the library.
//
// No panic and no runtime.Goexit may pass through the library's frames, which would be lost with
// what they hold. The line is therefore printed on a goroutine of its own, the only place where
// runtime.Goexit can be stopped; the operation goes the logger's way when it is out of the library.
//
//export rsp_go_log
func rsp_go_log(handle C.uint64_t, level C.int32_t, line *C.uint8_t, lineLen C.size_t) {
	f, text := cgo.Handle(handle).Value().(*frame), copied(line, lineLen)
	escaped := make(chan *escape)
	go func() {
		way := &escape{exit: true}
		defer func() {
			if value := recover(); value != nil {
				way = &escape{value: value}
			}
			escaped <- way
		}()
		printLine(level, text)
		way = nil
	}()
	if way := <-escaped; way != nil && f.escaped == nil {
		f.escaped = way
	}
}

func printLine(level C.int32_t, text string) {
	switch level {
	case C.RSP_LOG_ERROR:
		klog.ErrorDepth(0, text)
	case C.RSP_LOG_WARNING:
		klog.WarningDepth(0, text)
	default:
		klog.V(klog.Level(level)).InfoDepth(0, text)
	}
}

// announce says once at V(2) for each way of mounting that it is used, and with which features of
// the kernel; and once that the library does not fit.
func announce(mounter mount.Interface, native bool) {
	if libraryProblem != nil {
		problemOnce.Do(func() { klog.Error(libraryProblem) })
		return
	}
	if mounter == nil || !klog.V(2).Enabled() {
		return
	}
	if native {
		nativeOnce.Do(func() { klog.V(2).Infof("%s; mounts and unmounts by system calls of its own", Info()) })
	} else {
		forwardOnce.Do(func() { klog.V(2).Infof("%s; mounts and unmounts by the caller's %T", Info(), mounter) })
	}
}
