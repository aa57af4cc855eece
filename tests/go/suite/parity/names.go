// File names and paths that are hard for a program that takes paths for text.

package parity

import (
	"math/rand/v2"
	"strings"
)

// rnd is the only source of chance in the suite: a case follows from its seed alone.
type rnd struct{ *rand.Rand }

func newRnd(seed uint64) rnd { return rnd{rand.New(rand.NewPCG(seed, 0x5ab5a7))} }

// one is true once in n calls.
func (r rnd) one(n int) bool { return r.IntN(n) == 0 }

// percent is true in p calls of a hundred.
func (r rnd) percent(p int) bool { return r.IntN(100) < p }

func pick[T any](r rnd, from []T) T { return from[r.IntN(len(from))] }

// weighted picks an index; each weight is how often it comes up.
func (r rnd) weighted(weights ...int) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	n := r.IntN(sum)
	for i, w := range weights {
		if n -= w; n < 0 {
			return i
		}
	}
	return len(weights) - 1
}

var plainNames = []string{"a", "b", "c", "data", "dir", "file"}

// hardNames are names that a directory may really hold.
var hardNames = []string{
	"\xff\xfe", "caf\xe9", "a\xc3", "\xed\xa0\x80", "\xf4\x90\x80\x80", // not UTF-8, a surrogate, beyond U+10FFFF
	`it"s`, `'`, "`tick`", `back\slash`, `\x41`, `\n`, "\\", `\040(deleted)`, "x (deleted)",
	"100%", "%s", "%!d(string=x)", "%%", "%v%n%[1]q",
	"new\nline", "\n", "tab\there", "cr\r", "\x01\x1b[31m", "\x7f", "bell\a",
	"\u2028", "\u2029", "\u00a0", "\u0085", "\u200b", "\ufeff", "\ufffd", "e\u0301", "ﬀ", "😀", "日本",
	" ", " lead", "trail ", "two  spaces", ".hidden", "..data", "...", "..2024_01_01", ".. ", "-rf", "--", "-",
	"volume-subpaths", "0", "1", "*", "?", "[a-z]", "$HOME", "a:b", "a,b", "a=b", "#", "~", "&", "a;b", "nul", "con",
	"kubernetes.io~empty-dir", strings.Repeat("n", 255), strings.Repeat("é", 127), strings.Repeat("\xff", 255),
}

// impossibleNames cannot be made: too long by one, far too long, a NUL in them.
var impossibleNames = []string{
	strings.Repeat("L", 256), strings.Repeat("L", 300), strings.Repeat("é", 128), strings.Repeat("L", 5000),
	"nul\x00byte", "\x00",
}

func (r rnd) name() string {
	switch r.weighted(50, 45, 5) {
	case 0:
		return pick(r, plainNames)
	case 1:
		return pick(r, hardNames)
	default:
		b := make([]byte, 1+r.IntN(12))
		for i := range b {
			for b[i] = byte(r.IntN(256)); b[i] == 0 || b[i] == '/'; b[i] = byte(r.IntN(256)) {
			}
		}
		if s := string(b); s != "." && s != ".." {
			return s
		}
		return "dot"
	}
}

// names draws a small set, so that the calls of one case meet the entries of its tree.
func (r rnd) names(n int) []string {
	set := make([]string, n)
	for i := range set {
		set[i] = r.name()
	}
	return set
}

// spell writes a path in another way: most spellings mean the same file, some do not.
func (r rnd) spell(path string) string {
	if r.percent(75) {
		return path
	}
	switch r.IntN(10) {
	case 0:
		return path + "/"
	case 1:
		return path + "//"
	case 2:
		return path + "/."
	case 3:
		return strings.ReplaceAll(path, "/", "//")
	case 4:
		return "/" + path
	case 5:
		return strings.Replace(path, "/", "/./", 1+r.IntN(3))
	case 6: // through a directory that may not be there
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			return path[:i] + "/" + r.name() + "/.." + path[i:]
		}
		return path
	case 7: // and back
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			return path + "/../" + path[i+1:]
		}
		return path
	case 8: // relative to the working directory, which is the side's root
		if rel, ok := strings.CutPrefix(path, RootA+"/"); ok {
			return rel
		}
		return path
	default:
		if rel, ok := strings.CutPrefix(path, RootA+"/"); ok {
			return "./" + rel
		}
		return path + "/.."
	}
}

// hardPaths are arguments that are no file of any tree.
var hardPaths = []string{
	"", ".", "..", "/", "//", "///", "./", "../", "./.", "../..", "/..", "/.", "a/..", "a/../..", "..a", "...",
	"/etc", "/etc/passwd", "/nonexistent", "nonexistent/x", "/etc/../etc//passwd/", " ", "\x00", "a\x00b", "\xff",
	"-", "~", "%s%d", "a//b///c", "/etc/passwd/x", "../../../../../../../../etc",
}

// longPath is a relative path of exactly n bytes in components of at most 200.
func longPath(n int) string {
	var b strings.Builder
	for n > 0 {
		c := min(n, 200)
		if n-c == 1 { // never end in a slash
			c--
		}
		b.WriteString(strings.Repeat("p", c))
		if n -= c; n > 0 {
			b.WriteByte('/')
			n--
		}
	}
	return b.String()
}
