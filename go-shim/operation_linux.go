//go:build cgo

// One operation's way through the library and back: arguments packed, questions answered, result
// and error taken over, and nothing left behind whichever way it ends.

package rustsubpath

// #include "rustsubpath.h"
// void rsp_go_log(uint64_t handle, int32_t level, uint8_t *line, size_t lineLen);
import "C"

import (
	"encoding/binary"
	"runtime"
	"runtime/cgo"
	"sync"
	"unsafe"

	"k8s.io/mount-utils"
)

// frame is what one operation needs while it runs. Frames are used again, so that an operation
// allocates no more than its result.
type frame struct {
	step    C.struct_rsp_step
	options C.struct_rsp_options
	answer  C.struct_rsp_answer
	args    []byte
	result  string

	mounter     mount.Interface
	lazyUnmount func(path string) error
	// recovers says that the operation asks of an error whether it tells of a corrupted mount.
	recovers bool
	// errs are the errors the mounter returned. The library knows them by their place here, from 1.
	errs []error
	// printer prints the library's lines; logged says that there were some since it was waited for.
	printer printer
	logged  bool
}

// escape is a way out of a function that is no return.
type escape struct {
	value any  // the panic's value
	exit  bool // runtime.Goexit
}

// idle frames. Each has a handle by which the library's log lines find it; sync.Pool would lose
// frames and leave their handles behind.
var idle struct {
	sync.Mutex
	frames []*frame
}

// mostIdle bounds what is kept after many operations ran at once.
const mostIdle = 32

func borrowFrame(mounter mount.Interface, native bool, profile Profile) *frame {
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
	f.mounter = mounter
	f.options.mounter = C.RSP_MOUNTER_CALLER
	if native {
		f.options.mounter = C.RSP_MOUNTER_KERNEL
	}
	f.options.profile = C.uint32_t(profile)
	f.options.verbosity = C.int32_t(verbosity())
	return f
}

func (f *frame) giveBack() {
	f.args, f.result = f.args[:0], ""
	f.mounter, f.lazyUnmount, f.recovers = nil, nil, false
	for i := range f.errs {
		f.errs[i] = nil
	}
	f.errs = f.errs[:0]
	if f.logged {
		// A nested panic went past the operation's end.
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

// pack sets the arguments of the next call.
func (f *frame) pack(fields ...string) {
	f.args = f.args[:0]
	for _, field := range fields {
		f.args = binary.LittleEndian.AppendUint64(f.args, uint64(len(field)))
		f.args = append(f.args, field...)
	}
}

func (f *frame) packSubpath(s *Subpath) {
	f.pack(s.Path, s.VolumeName, s.VolumePath, s.PodDir, s.ContainerName)
}

// unpack is the inverse of pack for what the library packed.
func unpack(packed string) []string {
	fields := []string{}
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

// finish takes an operation from its first return to its end.
func (f *frame) finish(state C.uint32_t) error {
	for state == C.RSP_QUESTION {
		state = f.ask()
	}
	f.result = f.takeResult()
	err := f.takeError()
	f.leave()
	return err
}

// ask puts the library's question to the mounter and goes on with the answer.
//
// The mounter may panic, or end the goroutine: the library's side of the operation must end then as
// well, and does in a deferred function, as the original's does. What the library's own clean-up
// asks is asked from there.
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

// leave waits for the operation's lines, and goes the way a logger went, which could not pass through
// the library.
func (f *frame) leave() {
	if !f.logged {
		return
	}
	f.logged = false
	escaped := f.printer.wait()
	switch {
	case escaped == nil:
	case escaped.exit:
		runtime.Goexit()
	default:
		panic(escaped.value)
	}
}

// takeResult copies the operation's result and frees the library's.
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

// copied makes a string of the library's bytes.
func copied(bytes *C.uint8_t, length C.size_t) string {
	return string(unsafe.Slice((*byte)(unsafe.Pointer(bytes)), length))
}

func number(yes bool) C.uint32_t {
	if yes {
		return 1
	}
	return 0
}
