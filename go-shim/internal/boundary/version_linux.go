//go:build cgo && (amd64 || arm64)

// Whether the static library is there and fits these files.

package boundary

// #include "rustsubpath.h"
import "C"

import "fmt"

// "make build" writes the library and, beside it, a Go file that declares this name. When the library
// is missing or has another version of the boundary, the compiler reports the name as undefined.
const _ = run_make_build_to_get_a_library_for_version_4

// Problem is nil, or the error that every operation returns because the library linked into the program
// does not fit these files. The program keeps running, so that a kubelet still serves pods without sub
// paths and reports the problem for each of the others, instead of crashing again and again. Only tests
// assign it.
var Problem = checkLibrary(libraryVersion())

func libraryVersion() uint32 { return uint32(C.rsp_abi_version()) }

func checkLibrary(version uint32) error {
	if version == C.RSP_ABI_VERSION {
		return nil
	}
	return fmt.Errorf("rustsubpath: its Go files are made for version %d of its library and are linked with version %d: "+
		"run \"make build\" (and \"make swap\") again and rebuild this program", C.RSP_ABI_VERSION, version)
}

// Info returns one line with the library's version and the newer kernel features that it uses, or the
// text of Problem.
func Info() string {
	result, err := Settings{}.Do(info, 0)
	if err != nil {
		return err.Error()
	}
	return result.Bytes
}
