// Package rustsubpath stands in for kubernetes' pkg/volume/util/subpath: the same operations with
// the same results, error texts, klog lines and calls on the caller's mounter, done by a static
// library written in Rust.
//
// [New] takes the mounter that the kubelet gives to the original. With mount-utils' own
// *mount.Mounter, which only means "the kernel's mounts", the library mounts and unmounts by system
// calls itself, in a *mount.SafeFormatAndMount, too; any other mounter is called as the original calls
// it, on the caller's goroutine. RUSTSUBPATH_MOUNTER=forward in the environment makes it call a
// *mount.Mounter, too.
//
// The package works on Linux with cgo; elsewhere it is empty. "make build" makes the library and
// puts it beside these files, which can then be copied or vendored as a folder.
//
//	subpather_linux.go  the operations
//	mounts_linux.go     the mount table and the mount point checks, under mount-utils' names
//	whitebox_linux.go   the original's inner steps, for tests that call them
//	mounter_linux.go    which mounter is used, and what it is asked
//	operation_linux.go  one operation's way through the library and back
//	errors_linux.go     errors on their way out of the library
//	subpath_linux.go    log lines; named for klog's header and -vmodule
//	abi_linux.go        whether the library is there and fits
package rustsubpath
