//go:build cgo && (amd64 || arm64)

// The library's errors as Go errors: of the type, with the text and the wrapped error that the original
// would have returned.

package boundary

// #include "rustsubpath.h"
import "C"

import (
	"errors"
	"io/fs"
	"syscall"
)

// takeError returns the step's error as a Go error, nil if it has none, and frees the library's.
func (f *frame) takeError() error {
	if f.step.error == nil {
		return nil
	}
	err := f.rebuild(f.step.error)
	C.rsp_error_free(f.step.error)
	f.step.error = nil
	return err
}

// rebuild returns the Go error for one of the library's. A mounter's error becomes the very value that
// the mounter returned.
func (f *frame) rebuild(e *C.struct_rsp_error) error {
	switch e.kind {
	case C.RSP_ERROR_ERRNO:
		return syscall.Errno(e.os_error)
	case C.RSP_ERROR_PATH:
		return &fs.PathError{Op: copied(e.op, e.op_len), Path: copied(e.path, e.path_len), Err: syscall.Errno(e.os_error)}
	case C.RSP_ERROR_WRAP:
		return &wrapError{text: copied(e.text, e.text_len), err: f.rebuild(e.source)}
	case C.RSP_ERROR_FOREIGN:
		if e.token > 0 && e.token <= C.uint64_t(len(f.errs)) {
			return f.errs[e.token-1]
		}
	case C.RSP_ERROR_NOT_EXIST:
		return fs.ErrNotExist
	}
	return errors.New(copied(e.text, e.text_len))
}

// wrapError is an error with a text and the error it wraps, as fmt.Errorf returns it for %w.
type wrapError struct {
	text string
	err  error
}

func (e *wrapError) Error() string { return e.text }

func (e *wrapError) Unwrap() error { return e.err }
