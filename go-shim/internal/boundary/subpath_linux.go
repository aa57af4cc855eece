//go:build cgo && (amd64 || arm64)

// The library's log lines on their way to klog. klog prints the name of this file before each line, and
// -vmodule=subpath_linux=5 applies to it, so it has the name of the original's file.

package boundary

// #include "rustsubpath.h"
import "C"

import (
	"runtime/cgo"
	"sync"

	"k8s.io/klog/v2"
)

// verbosity returns the highest of klog's levels 3 to 5 at which it prints lines of this file, or 0.
func verbosity() klog.Level {
	for level := klog.Level(5); level >= 3; level-- {
		if klog.V(level).Enabled() {
			return level
		}
	}
	return 0
}

// printer prints the lines of one operation in their order, each as soon as it comes, so that the lines of
// an operation that hangs in the library are seen.
//
// It prints on a goroutine of its own, because no panic and no runtime.Goexit of a logger may pass
// through the library's frames, and runtime.Goexit cannot be stopped in another way. The operation does
// not wait for each line, but whenever it is outside of the library for the last one. When the logger
// panicked or exited, the operation does the same there.
type printer struct {
	mu      sync.Mutex
	lines   []logLine
	done    chan struct{} // of the goroutine that prints; nil when there is none
	escaped *escape
}

type logLine struct {
	level C.int32_t
	text  string
}

// rsp_go_log is called by the library for each line. handle is the frame's.
//
//export rsp_go_log
func rsp_go_log(handle C.uint64_t, level C.int32_t, line *C.uint8_t, lineLen C.size_t) {
	f := cgo.Handle(handle).Value().(*frame)
	f.logged = true
	f.printer.add(logLine{level, copied(line, lineLen)})
}

func (p *printer) add(line logLine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.escaped != nil {
		// The logger left: the original would not have come to this line.
		return
	}
	p.lines = append(p.lines, line)
	if p.done == nil {
		p.done = make(chan struct{})
		go p.print(p.done)
	}
}

func (p *printer) print(done chan struct{}) {
	way := &escape{exit: true}
	defer func() {
		if way != nil {
			if value := recover(); value != nil {
				way = &escape{value: value}
			}
			p.mu.Lock()
			p.lines, p.done, p.escaped = nil, nil, way
			p.mu.Unlock()
		}
		close(done)
	}()
	for line, more := p.next(); more; line, more = p.next() {
		printLine(line)
	}
	way = nil
}

// next takes the next line. When there is none it marks the goroutine as ended, under the same lock, so
// that a line that comes later starts another.
func (p *printer) next() (logLine, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == 0 {
		p.done = nil
		return logLine{}, false
	}
	line := p.lines[0]
	p.lines = p.lines[1:]
	return line, true
}

// wait waits until every line is printed. It returns nil, or how the logger ended instead of returning.
func (p *printer) wait() *escape {
	p.mu.Lock()
	done := p.done
	p.mu.Unlock()
	if done != nil {
		<-done
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	escaped := p.escaped
	p.escaped = nil
	return escaped
}

func printLine(line logLine) {
	switch line.level {
	case C.RSP_LOG_ERROR:
		klog.ErrorDepth(0, line.text)
	case C.RSP_LOG_WARNING:
		klog.WarningDepth(0, line.text)
	default:
		klog.V(klog.Level(line.level)).InfoDepth(0, line.text)
	}
}

var nativeOnce, forwardOnce, problemOnce sync.Once

// Announce logs, once for each way of mounting and at V(2), that the settings' way is used and with
// which features of the kernel. When the library does not fit, it logs that instead, once, as an error.
func Announce(s Settings) {
	if Problem != nil {
		problemOnce.Do(func() { klog.Error(Problem) })
		return
	}
	if s.Mounter == nil || !klog.V(2).Enabled() {
		return
	}
	if s.Native {
		nativeOnce.Do(func() { klog.V(2).Infof("%s; mounts and unmounts by system calls of its own", Info()) })
	} else {
		forwardOnce.Do(func() { klog.V(2).Infof("%s; mounts and unmounts by the caller's %T", Info(), s.Mounter) })
	}
}
