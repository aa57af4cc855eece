// Package rustsubpath stands in for kubernetes' pkg/volume/util/subpath: the same operations with
// the same results, error texts, klog lines and calls on the caller's mounter, done by a static
// library written in Rust.
//
// [New] takes the mounter that the kubelet gives to the original. With mount-utils' own *mount.Mounter,
// also inside a *mount.SafeFormatAndMount, the library mounts and unmounts by system calls itself. Any
// other mounter is called as the original calls it, on the caller's goroutine. The environment variable
// RUSTSUBPATH_MOUNTER=forward makes it call a *mount.Mounter, too.
//
// [NewMounter] stands where mount-utils' mount.New stood.
//
// The library works on linux/amd64 and linux/arm64, with cgo. Elsewhere the same names are mount-utils'
// own, New cannot be called, and nothing is faster. "make build" makes the static library and puts it into
// internal/boundary. After that the folder can be copied and used by a replace directive in another
// module's go.mod, and "go mod vendor" copies the library too.
//
//	subpather_linux.go  the operations
//	mount_linux.go      the mounter
//	mounts_linux.go     the mount table and the mount point checks, under mount-utils' names
//	elsewhere.go        what stands for all of it without the library
//	internal/boundary   the calls of the library
//	upstreamtest        the original's inner steps, for kubernetes' own tests
package rustsubpath
