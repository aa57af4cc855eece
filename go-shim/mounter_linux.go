//go:build cgo

// Which mounter is used, and what the caller's own is asked.

package rustsubpath

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

// mounterVariable is the environment variable by which an operator makes every mounter be called,
// *mount.Mounter too, without building anything anew.
const mounterVariable = "RUSTSUBPATH_MOUNTER"

// choose says whether the library does the mounter's work itself. It does for mount-utils' own
// mounter and no other: a type that embeds it may have methods of its own. mount-utils'
// SafeFormatAndMount has none that an Interface has, so that it is looked through.
func choose(mounter mount.Interface) bool {
	ours := isMountUtilsOwn(mounter)
	switch value := os.Getenv(mounterVariable); value {
	case "":
	case "forward":
		return false
	default:
		warnOnce.Do(func() {
			klog.Warningf("%s=%q in the environment means nothing to rustsubpath: the only value is \"forward\". "+
				"It goes on as if the variable were not set.", mounterVariable, value)
		})
	}
	return ours
}

// isMountUtilsOwn says whether mount-utils' *mount.Mounter answers every question to the mounter.
func isMountUtilsOwn(mounter mount.Interface) bool {
	// Each turn goes one level in. One that holds itself has no end, and is nobody's.
	for level := 0; level < 8; level++ {
		switch outer := mounter.(type) {
		case *mount.Mounter:
			return true
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

var warnOnce, nativeOnce, forwardOnce, problemOnce sync.Once

// askMounter puts the question in f.step to the mounter, with the original's arguments, and the
// answer into f.answer and f.args.
func (f *frame) askMounter() {
	path := copied(f.step.text, f.step.text_len)
	var value bool
	var err error
	question := f.step.question
	switch question {
	case C.RSP_ASK_IS_MOUNT_POINT:
		value, err = f.mounter.IsMountPoint(path)
	case C.RSP_ASK_IS_LIKELY_NOT_MOUNT_POINT:
		value, err = f.mounter.IsLikelyNotMountPoint(path)
	case C.RSP_ASK_CAN_SAFELY_SKIP_MOUNT_POINT_CHECK:
		value = f.mounter.CanSafelySkipMountPointCheck()
	case C.RSP_ASK_UNMOUNT:
		err = f.mounter.Unmount(path)
	case C.RSP_ASK_UNMOUNT_LAZILY:
		if f.lazyUnmount != nil {
			err = f.lazyUnmount(path)
		} else {
			err = syscall.Unmount(path, syscall.MNT_DETACH)
		}
	case C.RSP_ASK_BIND:
		source := copied(f.step.source, f.step.source_len)
		err = f.mounter.MountSensitiveWithoutSystemdWithMountFlags(source, path, "", []string{"bind"}, nil, []string{"--no-canonicalize"})
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

// answerError tells the library of the mounter's error what the original would find out about it,
// and no more: an error's methods may do anything.
func (f *frame) answerError(err error, isQuestion bool) {
	f.errs = append(f.errs, err)
	f.answer.kind = C.RSP_ANSWER_ERROR
	f.answer.token = C.uint64_t(len(f.errs))
	if errno, ok := err.(syscall.Errno); ok {
		f.answer.os_error = C.int32_t(errno)
	}
	if isQuestion && os.IsNotExist(err) {
		// The original does not look at its text.
		f.answer.not_exist = 1
		f.pack("")
		return
	}
	if isQuestion && f.recovers {
		f.answer.corrupted = number(mount.IsCorruptedMnt(err))
	}
	text := fmt.Sprintf("%s", err)
	if textV := fmt.Sprintf("%v", err); textV != text {
		f.pack(text, textV)
	} else {
		f.pack(text)
	}
}
