//go:build cgo && (amd64 || arm64)

// The library's log lines on their way to klog.

package boundary

// #include "rustsubpath.h"
import "C"

import (
	"runtime/cgo"
	"sync"

	"k8s.io/klog/v2"
)

// logFile is a source file for klog, which prints its name before each line, and whose -vmodule applies to it.
type logFile struct {
	// v calls klog.V from the file.
	v func(klog.Level) klog.Verbose
	// print calls printLine from the file.
	print func(logLine)
}

// logFileOf returns the file that has the name of the one where the original logs this operation.
func logFileOf(operation Operation) logFile {
	switch operation {
	case Mount, Unmount, UnmountWithForce:
		return logFile{vOfMount, printOfMount}
	}
	return logFile{vOfSubpath, printOfSubpath}
}

// verbosity returns the highest of klog's levels 3 to 5 at which it prints lines of the file, or 0.
func (f logFile) verbosity() klog.Level {
	for level := klog.Level(5); level >= 3; level-- {
		if f.v(level).Enabled() {
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
	file    logFile
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
		p.file.print(line)
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

// printLine prints a line as one of its caller's file.
func printLine(v func(klog.Level) klog.Verbose, line logLine) {
	switch line.level {
	case C.RSP_LOG_ERROR:
		klog.ErrorDepth(1, line.text)
	case C.RSP_LOG_WARNING:
		klog.WarningDepth(1, line.text)
	default:
		v(klog.Level(line.level)).InfoDepth(1, line.text)
	}
}
