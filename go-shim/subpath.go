// What a sub path is, for every platform.

package rustsubpath

// Subpath is a container's request for a sub path of a volume, with the fields of kubernetes'
// subpath.Subpath.
type Subpath struct {
	// VolumeMountIndex is the index of the VolumeMount in the container.
	VolumeMountIndex int
	// Path is the full path of the sub path on the host.
	Path string
	// VolumeName is the volume's name, which must be a valid directory name.
	VolumeName string
	// VolumePath is the full path of the volume on the host.
	VolumePath string
	// PodDir is the pod's directory on the host, including the pod's UID.
	PodDir string
	// ContainerName is the name of the container.
	ContainerName string
}

// Profile selects the behaviour of a range of kubernetes releases, where they differ.
type Profile int

const (
	// ProfileV129 is kubernetes v1.29 to v1.36.
	ProfileV129 Profile = iota
	// ProfileV137 is kubernetes v1.37, which recovers from corrupted mounts and detaches stale ones
	// lazily.
	ProfileV137
)
