//go:build cgo && (amd64 || arm64)

// The log lines of the three operations and of what is like them. klog prints the name of this file before
// each, and -vmodule=subpath_linux=5 applies to them, so it has the name of the original's file.

package boundary

import (
	"sync"

	"k8s.io/klog/v2"
)

func vOfSubpath(level klog.Level) klog.Verbose { return klog.V(level) }

func printOfSubpath(line logLine) { printLine(vOfSubpath, line) }

var nativeOnce, forwardOnce, problemOnce sync.Once

// Announce logs, once for each way of mounting and at V(2), that the settings' way is used and with
// which features of the kernel. When the library does not fit, it logs that instead, once, as an error.
func Announce(s Settings) {
	if Problem != nil {
		problemOnce.Do(func() { klog.Error(Problem) })
		return
	}
	if s.Mounter == nil || !klog.V(2).Enabled() {
		return
	}
	if s.Native {
		nativeOnce.Do(func() { klog.V(2).Infof("%s; mounts and unmounts by system calls of its own", Info()) })
	} else {
		forwardOnce.Do(func() { klog.V(2).Infof("%s; mounts and unmounts by the caller's %T", Info(), s.Mounter) })
	}
}
