//go:build cgo

// The library's log lines on their way to klog. The file has the name of the original's, which klog
// prints before each line and to which -vmodule=subpath_linux=5 applies.

package rustsubpath

// #include "rustsubpath.h"
import "C"

import (
	"runtime/cgo"
	"sync"

	"k8s.io/klog/v2"
	"k8s.io/mount-utils"
)

// verbosity is the highest level of this package's lines that klog prints, or 0.
func verbosity() klog.Level {
	for level := klog.Level(5); level >= 3; level-- {
		if klog.V(level).Enabled() {
			return level
		}
	}
	return 0
}

// printer prints the lines of one operation, in their order and at once, also while the operation
// hangs in the library.
//
// It prints on a goroutine of its own. No panic and no runtime.Goexit of a logger may pass through
// the library's frames, which would be lost with all they hold, and runtime.Goexit can be stopped in
// no other way. The operation does not wait for a line, but for the last one whenever it is out of
// the library; there it goes the way the logger went.
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

// rsp_go_log receives each line from the library.
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
		// The original would not have got here.
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

// next takes the next line. Without one the goroutine's end is settled under the same lock, so that
// a line that comes later gets another.
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

// wait waits until every line is printed and tells how a logger left instead.
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

// announce says once at V(2) for each way of mounting that it is used, and with which features of
// the kernel; and once that the library does not fit.
func announce(mounter mount.Interface, native bool) {
	if libraryProblem != nil {
		problemOnce.Do(func() { klog.Error(libraryProblem) })
		return
	}
	if mounter == nil || !klog.V(2).Enabled() {
		return
	}
	if native {
		nativeOnce.Do(func() { klog.V(2).Infof("%s; mounts and unmounts by system calls of its own", Info()) })
	} else {
		forwardOnce.Do(func() { klog.V(2).Infof("%s; mounts and unmounts by the caller's %T", Info(), mounter) })
	}
}
