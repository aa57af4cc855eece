// Package rustsubpath stands in for kubernetes' pkg/volume/util/subpath: the same operations with
// the same results, error texts, klog lines and calls on the caller's mounter, done by a static
// library written in Rust.
//
// [New] takes the mounter that the kubelet gives to the original. With mount-utils' own *mount.Mounter,
// also inside a *mount.SafeFormatAndMount, the library mounts and unmounts by system calls itself. Any
// other mounter is called as the original calls it, on the caller's goroutine. The environment variable
// RUSTSUBPATH_MOUNTER=forward makes it call a *mount.Mounter, too.
//
// The package works on Linux with cgo; elsewhere it is empty. "make build" makes the static library and
// puts it into internal/boundary. After that the folder can be copied and used by a replace directive in
// another module's go.mod, and "go mod vendor" copies the library too.
//
//	subpather_linux.go  the operations
//	mounts_linux.go     the mount table and the mount point checks, under mount-utils' names
//	internal/boundary   the calls of the library
//	upstreamtest        the original's inner steps, for kubernetes' own tests
package rustsubpath
