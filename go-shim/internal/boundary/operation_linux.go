//go:build cgo && (amd64 || arm64)

// One operation: its call, its arguments, its questions and its result. Nothing is left behind whichever
// way it ends.

package boundary

// #include "rustsubpath.h"
// void rsp_go_log(uint64_t handle, int32_t level, uint8_t *line, size_t lineLen);
import "C"

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"runtime/cgo"
	"sync"
	"syscall"
	"unsafe"
)

// Operation is one function of the library. The header says what its arguments, its number and its
// result are.
type Operation int

// The operations, named as in the header.
const (
	info Operation = iota
	SafeMakeDir
	PrepareSafeSubpath
	CleanSubPaths
	CleanupMountPoint
	CleanupMountWithForce
	IsMountPoint
	IsLikelyNotMountPoint
	MountTable
	ListMounts
	SearchMountPoints
	MountRefs
	MountAt
	Mount
	Unmount
	UnmountWithForce
	OpenBeneath
	MakeDirResolved
	ExistingPrefix
	RemoveEmptyDirs
	PrepareSubpathTarget
)

// The outcomes of Mount, Unmount and UnmountWithForce, in Result.Number.
const (
	// MountDone is success, and with an error a wrong call.
	MountDone = C.RSP_MOUNT_DONE
	// MountForwarded says that nothing was done, because only mount(8) or umount(8) can do it.
	MountForwarded = C.RSP_MOUNT_FORWARD
	// With an error, these say which step of mount-utils' failed.
	MountFailedFirst   = C.RSP_MOUNT_FAILED_FIRST
	MountFailedRemount = C.RSP_MOUNT_FAILED_REMOUNT
	MountFailedStatfs  = C.RSP_MOUNT_FAILED_STATFS
)

// Result is what an operation returns beside its error.
type Result struct {
	Number int64
	Bytes  string
}

// Do runs one operation to its end and returns its result and error. It asks the settings' mounter on
// the calling goroutine. number is the argument that some functions of the header take beside the
// strings, else 0. When the mounter or a logger panics or calls runtime.Goexit, the operation cleans up
// as the original does, and Do panics or exits likewise.
func (s Settings) Do(operation Operation, number int64, args ...string) (Result, error) {
	if Problem != nil {
		return Result{}, Problem
	}
	f := borrowFrame(s, operation)
	defer f.giveBack()
	f.pack(args...)
	return f.finish(f.begin(number))
}

// begin makes the operation's call, with the arguments in f.args.
func (f *frame) begin(number int64) C.uint32_t {
	switch f.operation {
	case info:
		return C.rsp_info(&f.options, &f.step)
	case SafeMakeDir:
		return C.rsp_safe_make_dir(&f.options, f.argsAt(), f.argsLen(), C.uint32_t(number), &f.step)
	case PrepareSafeSubpath:
		return C.rsp_prepare_safe_subpath(&f.options, f.argsAt(), f.argsLen(), C.int64_t(number), &f.step)
	case CleanSubPaths:
		return C.rsp_clean_sub_paths(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case CleanupMountPoint:
		return C.rsp_cleanup_mount_point(&f.options, f.argsAt(), f.argsLen(), C.uint32_t(number), &f.step)
	case CleanupMountWithForce:
		return C.rsp_cleanup_mount_with_force(&f.options, f.argsAt(), f.argsLen(), C.uint64_t(number), &f.step)
	case IsMountPoint:
		return C.rsp_is_mount_point(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case IsLikelyNotMountPoint:
		return C.rsp_is_likely_not_mount_point(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case MountTable:
		return C.rsp_mount_table(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case ListMounts:
		return C.rsp_list_mounts(&f.options, &f.step)
	case SearchMountPoints:
		return C.rsp_search_mount_points(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case MountRefs:
		return C.rsp_mount_refs(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case MountAt:
		return C.rsp_mount_at(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case Mount:
		return C.rsp_mount(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case Unmount:
		return C.rsp_unmount(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case UnmountWithForce:
		return C.rsp_unmount_with_force(&f.options, f.argsAt(), f.argsLen(), C.uint64_t(number), &f.step)
	case OpenBeneath:
		return C.rsp_open_beneath(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case MakeDirResolved:
		return C.rsp_make_dir_resolved(&f.options, f.argsAt(), f.argsLen(), C.uint32_t(number), &f.step)
	case ExistingPrefix:
		return C.rsp_existing_prefix(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case RemoveEmptyDirs:
		return C.rsp_remove_empty_dirs(&f.options, f.argsAt(), f.argsLen(), &f.step)
	case PrepareSubpathTarget:
		return C.rsp_prepare_subpath_target(&f.options, f.argsAt(), f.argsLen(), C.int64_t(number), &f.step)
	}
	panic(fmt.Sprintf("rustsubpath has no operation %d", f.operation))
}

// frame is the memory of one operation while it runs. Frames are used again, so that an operation
// allocates no more than its result.
type frame struct {
	step    C.struct_rsp_step
	options C.struct_rsp_options
	answer  C.struct_rsp_answer
	args    []byte

	operation Operation
	settings  Settings
	// errs are the errors that the mounter returned. The library knows each by its index here plus 1.
	errs []error
	// printer prints the library's lines; logged says that there were some since it was waited for.
	printer printer
	logged  bool
}

// escape is how a function ended that did not return.
type escape struct {
	value any  // the panic's value
	exit  bool // runtime.Goexit
}

// idle are the frames that no operation uses. It is no sync.Pool, because each frame has a cgo.Handle by
// which the library's log lines find it: a frame that a pool drops would leave its handle behind.
var idle struct {
	sync.Mutex
	frames []*frame
}

// mostIdle bounds how many frames are kept after many operations ran at once.
const mostIdle = 32

// IdleFrames returns how many frames are idle, for tests that look for lost ones.
func IdleFrames() int {
	idle.Lock()
	defer idle.Unlock()
	return len(idle.frames)
}

// borrowFrame returns a frame for one operation. The operation must give it back.
func borrowFrame(settings Settings, operation Operation) *frame {
	var f *frame
	idle.Lock()
	if n := len(idle.frames); n > 0 {
		f, idle.frames = idle.frames[n-1], idle.frames[:n-1]
	}
	idle.Unlock()
	if f == nil {
		f = new(frame)
		f.options.abi = C.RSP_ABI_VERSION
		f.options.log = (*[0]byte)(C.rsp_go_log)
		f.options.log_handle = C.uint64_t(cgo.NewHandle(f))
	}
	f.settings, f.operation = settings, operation
	f.options.mounter = C.RSP_MOUNTER_CALLER
	if settings.Native {
		f.options.mounter = C.RSP_MOUNTER_KERNEL
	}
	f.options.profile = C.uint32_t(settings.Profile)
	f.printer.file = logFileOf(operation)
	f.options.verbosity = C.int32_t(f.printer.file.verbosity())
	return f
}

func (f *frame) giveBack() {
	f.args, f.settings = f.args[:0], Settings{}
	for i := range f.errs {
		f.errs[i] = nil
	}
	f.errs = f.errs[:0]
	if f.logged {
		// A panic in the clean-up after a panic skipped leave.
		f.logged = false
		f.printer.wait()
	}
	idle.Lock()
	keep := len(idle.frames) < mostIdle
	if keep {
		idle.frames = append(idle.frames, f)
	}
	idle.Unlock()
	if !keep {
		cgo.Handle(f.options.log_handle).Delete()
	}
}

// checksCorrupted reports whether the original asks mount.IsCorruptedMnt about an error of its checks:
// in v1.37 it does where it prepares a target.
func (f *frame) checksCorrupted() bool {
	prepares := f.operation == PrepareSafeSubpath || f.operation == PrepareSubpathTarget
	return prepares && f.settings.Profile != C.RSP_PROFILE_V129
}

// pack writes the arguments of the next call to f.args, in the form that the header describes.
func (f *frame) pack(fields ...string) {
	f.args = packed(f.args[:0], fields)
}

// Packed returns a list of strings as one argument.
func Packed(fields []string) string { return string(packed(nil, fields)) }

func packed(to []byte, fields []string) []byte {
	for _, field := range fields {
		to = binary.LittleEndian.AppendUint64(to, uint64(len(field)))
		to = append(to, field...)
	}
	return to
}

// Fields returns the strings that are packed in the result.
func (r Result) Fields() []string {
	packed, fields := r.Bytes, []string{}
	for len(packed) >= 8 {
		length := binary.LittleEndian.Uint64([]byte(packed[:8]))
		packed = packed[8:]
		if length > uint64(len(packed)) {
			break
		}
		fields = append(fields, packed[:length])
		packed = packed[length:]
	}
	return fields
}

func (f *frame) argsAt() *C.uint8_t {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(f.args)))
}

func (f *frame) argsLen() C.size_t {
	return C.size_t(len(f.args))
}

// finish takes an operation that is begun to its end.
func (f *frame) finish(state C.uint32_t) (Result, error) {
	for state == C.RSP_QUESTION {
		state = f.ask()
	}
	result := Result{Number: int64(f.step.number), Bytes: f.takeResult()}
	err := f.takeError()
	f.leave()
	return result, err
}

// ask puts the library's question to the mounter and resumes the operation with the answer.
//
// The mounter may panic or end the goroutine. A deferred function then ends the library's side of the
// operation, as the original's deferred functions do, and asks what that clean-up asks.
func (f *frame) ask() C.uint32_t {
	answered := false
	defer func() {
		if answered {
			return
		}
		f.answer = C.struct_rsp_answer{kind: C.RSP_ANSWER_ABORTED}
		for state := f.resume(); state == C.RSP_QUESTION; {
			state = f.ask()
		}
		f.leave()
	}()
	f.leave()
	f.askMounter()
	answered = true
	return f.resume()
}

func (f *frame) resume() C.uint32_t {
	return C.rsp_resume(f.step.operation, &f.answer, f.argsAt(), f.argsLen(), &f.step)
}

// leave waits until the operation's lines are printed. When the logger panicked or ended its goroutine
// it does the same here, since neither could pass through the library's frames.
func (f *frame) leave() {
	if !f.logged {
		return
	}
	f.logged = false
	escaped := f.printer.wait()
	if escaped == nil {
		return
	}
	if f.operation == OpenBeneath && f.step.state == C.RSP_DONE {
		// The caller never sees the descriptor.
		syscall.Close(int(f.step.number))
	}
	if escaped.exit {
		runtime.Goexit()
	}
	panic(escaped.value)
}

// takeResult returns a copy of the step's result and frees the library's.
func (f *frame) takeResult() string {
	if f.step.text_len == 0 {
		return ""
	}
	if f.step.text == nil {
		return string(unsafe.Slice((*byte)(unsafe.Pointer(&f.step.buffer[0])), f.step.text_len))
	}
	result := copied(f.step.text, f.step.text_len)
	C.rsp_bytes_free(f.step.text, f.step.text_len)
	return result
}

// copied returns the library's bytes as a string.
func copied(bytes *C.uint8_t, length C.size_t) string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(bytes)), length))
}

func number(yes bool) C.uint32_t {
	if yes {
		return 1
	}
	return 0
}
