//go:build cgo

// Errors on their way out of the library: each becomes what the original would have returned.

package rustsubpath

// #include "rustsubpath.h"
import "C"

import (
	"errors"
	"io/fs"
	"syscall"
)

// takeError makes a Go error of the operation's error and frees the library's.
func (f *frame) takeError() error {
	if f.step.error == nil {
		return nil
	}
	err := f.rebuild(f.step.error)
	C.rsp_error_free(f.step.error)
	f.step.error = nil
	return err
}

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

// wrapError is what fmt.Errorf makes of %w.
type wrapError struct {
	text string
	err  error
}

func (e *wrapError) Error() string { return e.text }

func (e *wrapError) Unwrap() error { return e.err }
