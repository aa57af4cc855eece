//go:build cgo

// Whether the static library is there and fits these files.

package rustsubpath

// #include "rustsubpath.h"
import "C"

import "fmt"

// The file that "make build" writes beside the library declares this name. Without the library, or
// with one for another version of the boundary, the compiler prints it.
const _ = run_make_build_to_get_a_library_for_version_3

// libraryProblem is what every operation fails with when the library does not fit: nothing can be
// said to it then. The program runs on, so that a kubelet still serves pods without sub paths and
// says on each of the others what is wrong, instead of crashing over and over.
var libraryProblem = checkLibrary(libraryVersion())

func libraryVersion() uint32 { return uint32(C.rsp_abi_version()) }

func checkLibrary(version uint32) error {
	if version == C.RSP_ABI_VERSION {
		return nil
	}
	return fmt.Errorf("rustsubpath: its Go files are made for version %d of its library and are linked with version %d: "+
		"run \"make build\" (and \"make swap\") again and rebuild this program", C.RSP_ABI_VERSION, version)
}

// Info tells in one line the library's version and which of the newer kernel features it uses.
func Info() string {
	if libraryProblem != nil {
		return libraryProblem.Error()
	}
	f := borrowFrame(nil, false, ProfileV129)
	defer f.giveBack()
	if err := f.finish(C.rsp_info(&f.options, &f.step)); err != nil {
		return err.Error()
	}
	return f.result
}

// Info tells in one line the library's version, the profile, which way it mounts, and the newer
// kernel features it uses: for a log line or a health check.
func (s *Subpather) Info() string {
	if libraryProblem != nil {
		return libraryProblem.Error()
	}
	profile := fmt.Sprintf("profile %d, which is unknown", s.profile)
	switch s.profile {
	case ProfileV129:
		profile = "profile v1.29"
	case ProfileV137:
		profile = "profile v1.37"
	}
	way := fmt.Sprintf("mounts by the caller's %T", s.mounter)
	if s.native {
		way = "mounts by system calls of its own"
	} else if s.mounter == nil {
		way = "has no mounter"
	}
	return fmt.Sprintf("%s; %s; %s", Info(), profile, way)
}
