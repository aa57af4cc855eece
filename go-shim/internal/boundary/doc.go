// Package boundary calls the static library: it holds the C header, the library, and everything else
// of the module that needs cgo. The packages rustsubpath and upstreamtest are plain Go on top of it.
//
//	operation_linux.go  one operation: its call, its arguments, its questions and its result
//	mounter_linux.go    which mounter is used, and the questions put to the caller's
//	errors_linux.go     the library's errors as Go errors
//	subpath_linux.go    log lines; the name is the one that klog prints before each line
//	version_linux.go    whether the library fits these files
package boundary
