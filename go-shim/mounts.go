// The functions of mount-utils that need no library, for every platform.

package rustsubpath

import "k8s.io/mount-utils"

// PathWithinBase reports whether fullPath is basePath or lies below it, without looking at the file
// system. It calls mount-utils' function of the same name.
func PathWithinBase(fullPath, basePath string) bool {
	return mount.PathWithinBase(fullPath, basePath)
}

// PathExists reports whether the path exists. It returns true with an error for a corrupted mount, such
// as one whose server is dead. It calls mount-utils' function of the same name, which waits for a server
// that hangs.
func PathExists(path string) (bool, error) {
	return mount.PathExists(path)
}

// IsCorruptedMnt reports whether the error is that of a corrupted mount, such as one whose server is
// dead. It calls mount-utils' function of the same name.
func IsCorruptedMnt(err error) bool {
	return mount.IsCorruptedMnt(err)
}
