// Command gosem answers what Go's own path/filepath, strconv and syscall say, so that the Rust
// port can be compared with them.
//
// It reads requests on stdin and answers each on stdout, in order, until stdin ends:
//
//	request:  operation (1 byte), number of arguments (1 byte), then each as length (4) + bytes
//	response: kind (1 byte), errno (4), text as length (4) + bytes
//
// Numbers are little-endian. The kind is 'v' for a value, 'p' for a *fs.PathError (its text is
// "op NUL path"), 'n' for a bare syscall.Errno and 't' for any other error.
//
// "gosem isprint" and "gosem errno" print the tables of mountinfo/src/go_text/ instead.
package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

func main() {
	if len(os.Args) == 2 {
		printTable(os.Args[1])
		return
	}
	if err := serve(bufio.NewReaderSize(os.Stdin, 1<<16), bufio.NewWriterSize(os.Stdout, 1<<16)); err != nil {
		fmt.Fprintln(os.Stderr, "gosem:", err)
		os.Exit(1)
	}
}

func serve(in *bufio.Reader, out *bufio.Writer) error {
	for {
		op, args, err := readRequest(in)
		if err == io.EOF {
			return out.Flush()
		}
		if err != nil {
			return err
		}
		value, failure := answer(op, args)
		if err := writeResponse(out, value, failure); err != nil {
			return err
		}
		// The next request may never come before this answer is seen.
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

func readRequest(in *bufio.Reader) (byte, []string, error) {
	op, err := in.ReadByte()
	if err != nil {
		return 0, nil, err
	}
	count, err := in.ReadByte()
	if err != nil {
		return 0, nil, io.ErrUnexpectedEOF
	}
	args := make([]string, count)
	for i := range args {
		var size [4]byte
		if _, err := io.ReadFull(in, size[:]); err != nil {
			return 0, nil, io.ErrUnexpectedEOF
		}
		arg := make([]byte, binary.LittleEndian.Uint32(size[:]))
		if _, err := io.ReadFull(in, arg); err != nil {
			return 0, nil, io.ErrUnexpectedEOF
		}
		args[i] = string(arg)
	}
	return op, args, nil
}

func answer(op byte, args []string) (string, error) {
	switch op {
	case 'c':
		return filepath.Clean(args[0]), nil
	case 'j':
		return filepath.Join(args...), nil
	case 'r':
		return filepath.Rel(args[0], args[1])
	case 'd':
		return filepath.Dir(args[0]), nil
	case 'b':
		return filepath.Base(args[0]), nil
	case 'a':
		return strconv.FormatBool(filepath.IsAbs(args[0])), nil
	case 's':
		return strings.Join(strings.Split(args[0], "/"), "\x00/\x00"), nil
	case 'w':
		return strconv.FormatBool(pathWithinBase(args[0], args[1])), nil
	case 'q':
		if quoted := strconv.Quote(args[0]); quoted != fmt.Sprintf("%q", args[0]) {
			return "", errors.New("strconv.Quote and %q differ")
		}
		return strconv.Quote(args[0]), nil
	case 'e':
		return filepath.EvalSymlinks(args[0])
	case 'n':
		number, err := strconv.ParseInt(args[0], 10, 32)
		return syscall.Errno(number).Error(), err
	case 'p':
		return printable(), nil
	case 'u':
		return unicode.Version, nil
	case 'C':
		return "", os.Chdir(args[0])
	}
	return "", fmt.Errorf("unknown operation %q", op)
}

// pathWithinBase is k8s.io/mount-utils' PathWithinBase, on top of this Go's filepath.Rel.
func pathWithinBase(full, base string) bool {
	rel, err := filepath.Rel(base, full)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// printable tells strconv.IsPrint of every code point, one byte '0' or '1' each.
func printable() string {
	bits := make([]byte, unicode.MaxRune+1)
	for r := range bits {
		bits[r] = '0'
		if strconv.IsPrint(rune(r)) {
			bits[r] = '1'
		}
	}
	return string(bits)
}

func writeResponse(out *bufio.Writer, value string, failure error) error {
	kind, errno, text := byte('v'), syscall.Errno(0), value
	if failure != nil {
		kind, text = 't', failure.Error()
		//nolint:errorlint // what the error is, not what it wraps, is the question.
		switch e := failure.(type) {
		case *fs.PathError:
			kind, text = 'p', e.Op+"\x00"+e.Path
			errno, _ = e.Err.(syscall.Errno)
		case syscall.Errno:
			kind, text, errno = 'n', "", e
		}
	}
	head := make([]byte, 9)
	head[0] = kind
	binary.LittleEndian.PutUint32(head[1:], uint32(errno))
	binary.LittleEndian.PutUint32(head[5:], uint32(len(text)))
	if _, err := out.Write(head); err != nil {
		return err
	}
	_, err := out.WriteString(text)
	return err
}
