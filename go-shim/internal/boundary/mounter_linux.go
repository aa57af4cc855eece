//go:build cgo && (amd64 || arm64)

// Which mounter is used, and the questions put to the caller's.

package boundary

// #include "rustsubpath.h"
import "C"

import (
	"fmt"
	"os"
	"sync"
	"syscall"

	"k8s.io/klog/v2"
	"k8s.io/mount-utils"
)

// MounterVariable is the environment variable whose value "forward" makes every mounter be called,
// *mount.Mounter included. An operator can set it without building anything anew.
const MounterVariable = "RUSTSUBPATH_MOUNTER"

// Settings says how an operation is done.
type Settings struct {
	// Mounter is the caller's. Nil is allowed as long as the operation does not need it.
	Mounter mount.Interface
	// Native says that the library mounts and unmounts by system calls itself. Otherwise it asks
	// Mounter.
	Native bool
	// Profile is one of the header's RSP_PROFILE_ numbers.
	Profile int
	// LazyUnmount detaches a stale mount when Native is false. Nil stands for umount2(2) with
	// MNT_DETACH.
	LazyUnmount func(path string) error
}

// For returns the settings for a caller's mounter.
func For(mounter mount.Interface, profile int) Settings {
	return Settings{Mounter: mounter, Native: IsNative(mounter), Profile: profile}
}

// OwnMounter is the mounter that the package rustsubpath makes itself.
type OwnMounter interface {
	mount.Interface
	// MountsNatively reports whether self is this mounter, and no type that embeds it, and mounts by
	// system calls.
	MountsNatively(self mount.Interface) bool
}

// SwitchedOff reports whether MounterVariable says that the library mounts nothing by system calls.
func SwitchedOff() bool {
	switch value := os.Getenv(MounterVariable); value {
	case "":
	case "forward":
		return true
	default:
		warnOnce.Do(func() {
			klog.Warningf("%s=%q in the environment means nothing to rustsubpath: the only value is \"forward\". "+
				"It goes on as if the variable were not set.", MounterVariable, value)
		})
	}
	return false
}

// IsNative reports whether the library does the mounter's work by system calls. It does so for
// mount-utils' own *mount.Mounter and for an OwnMounter, also inside a SafeFormatAndMount, whose own
// methods no operation calls. It does not for any other type that embeds one, which may have methods of
// its own.
func IsNative(mounter mount.Interface) bool {
	if SwitchedOff() {
		return false
	}
	// Each turn goes one level in. A SafeFormatAndMount that holds itself has no end.
	for level := 0; level < 8; level++ {
		switch outer := mounter.(type) {
		case *mount.Mounter:
			return true
		case OwnMounter:
			return outer.MountsNatively(mounter)
		case *mount.SafeFormatAndMount:
			if outer == nil {
				return false
			}
			mounter = outer.Interface
		case mount.SafeFormatAndMount:
			mounter = outer.Interface
		default:
			return false
		}
	}
	return false
}

var warnOnce sync.Once

// askMounter asks the mounter what f.step says, with the arguments that the original passes, and writes
// the answer to f.answer and f.args.
func (f *frame) askMounter() {
	path := copied(f.step.text, f.step.text_len)
	var value bool
	var err error
	question := f.step.question
	switch question {
	case C.RSP_ASK_IS_MOUNT_POINT:
		value, err = f.settings.Mounter.IsMountPoint(path)
	case C.RSP_ASK_IS_LIKELY_NOT_MOUNT_POINT:
		value, err = f.settings.Mounter.IsLikelyNotMountPoint(path)
	case C.RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK:
		value = f.settings.Mounter.CanSafelySkipMountPointCheck()
	case C.RSP_ASK_UNMOUNT:
		err = f.settings.Mounter.Unmount(path)
	case C.RSP_ASK_UNMOUNT_LAZILY:
		if f.settings.LazyUnmount != nil {
			err = f.settings.LazyUnmount(path)
		} else {
			err = syscall.Unmount(path, syscall.MNT_DETACH)
		}
	case C.RSP_ASK_BIND:
		source := copied(f.step.source, f.step.source_len)
		err = f.settings.Mounter.MountSensitiveWithoutSystemdWithMountFlags(source, path, "", []string{"bind"}, nil, []string{"--no-canonicalize"})
	default:
		err = fmt.Errorf("rustsubpath: its library asks question %d, which its Go files do not know", question)
	}
	f.args = f.args[:0]
	f.answer = C.struct_rsp_answer{kind: C.RSP_ANSWER_OK, value: number(value)}
	if err != nil {
		isQuestion := question == C.RSP_ASK_IS_MOUNT_POINT || question == C.RSP_ASK_IS_LIKELY_NOT_MOUNT_POINT
		f.answerError(err, isQuestion)
	}
}

// answerError writes the mounter's error to f.answer and f.args. It finds out about the error only what
// the original would: an error's methods are the caller's code and may panic.
func (f *frame) answerError(err error, isQuestion bool) {
	f.errs = append(f.errs, err)
	f.answer.kind = C.RSP_ANSWER_ERROR
	f.answer.token = C.uint64_t(len(f.errs))
	if errno, ok := err.(syscall.Errno); ok {
		f.answer.os_error = C.int32_t(errno)
	}
	if isQuestion && os.IsNotExist(err) {
		// The original does not read its text.
		f.answer.not_exist = 1
		f.pack("")
		return
	}
	if isQuestion && f.checksCorrupted() {
		f.answer.corrupted = number(mount.IsCorruptedMnt(err))
	}
	text := fmt.Sprintf("%s", err)
	if textV := fmt.Sprintf("%v", err); textV != text {
		f.pack(text, textV)
	} else {
		f.pack(text)
	}
}
