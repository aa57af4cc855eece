package main

// The tables of mountinfo/src/go_text/, printed as the Rust source that is committed there.

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

func printTable(name string) {
	switch name {
	case "isprint":
		printIsPrint()
	case "errno":
		printErrno()
	default:
		fmt.Fprintf(os.Stderr, "gosem: no table %q; there are isprint and errno\n", name)
		os.Exit(2)
	}
}

func printIsPrint() {
	fmt.Printf(`//! The code points that Go prints in %%q as they are: strconv.IsPrint, as a table.
//!
//! Printed by "go run . isprint" in tests/go/gosem with %s (Unicode %s); a test
//! compares every code point with the Go at hand.

/// The code points at which strconv.IsPrint changes its answer, from "no" at U+0000 on.
#[rustfmt::skip]
pub(super) const CHANGES: [u32; %d] = [
`, runtime.Version(), unicode.Version, len(changes()))
	for start, all := 0, changes(); start < len(all); start += 10 {
		line := make([]string, 0, 10)
		for _, r := range all[start:min(start+10, len(all))] {
			line = append(line, fmt.Sprintf("0x%05x,", r))
		}
		fmt.Println("    " + strings.Join(line, " "))
	}
	fmt.Println("];")
}

func changes() []rune {
	var all []rune
	printed := false
	for r := rune(0); r <= unicode.MaxRune+1; r++ {
		if now := r <= unicode.MaxRune && strconv.IsPrint(r); now != printed {
			all, printed = append(all, r), now
		}
	}
	return all
}

func printErrno() {
	last := 0
	for n := 0; n < 4096; n++ {
		if known(n) {
			last = n
		}
	}
	fmt.Printf(`//! What Go calls each errno on Linux: the texts of syscall.Errno's Error method.
//!
//! Printed by "go run . errno" in tests/go/gosem with %s; a test compares every errno
//! with the Go at hand.

/// The text of each errno by its number; empty where Go has none and prints "errno N".
#[rustfmt::skip]
pub(super) const TEXTS: [&str; %d] = [
`, runtime.Version(), last+1)
	for n := 0; n <= last; n++ {
		text := ""
		if known(n) {
			text = syscall.Errno(n).Error()
		}
		fmt.Printf("    /* %3d */ %q,\n", n, text)
	}
	fmt.Println("];")
}

func known(n int) bool {
	return syscall.Errno(n).Error() != fmt.Sprintf("errno %d", n)
}
