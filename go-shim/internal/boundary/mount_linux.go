//go:build cgo && (amd64 || arm64)

// The log lines of mounting and unmounting. klog prints the name of this file before each, and
// -vmodule=mount_linux=4 applies to them, so it has the name of mount-utils' file.

package boundary

import "k8s.io/klog/v2"

func vOfMount(level klog.Level) klog.Verbose { return klog.V(level) }

func printOfMount(line logLine) { printLine(vOfMount, line) }
