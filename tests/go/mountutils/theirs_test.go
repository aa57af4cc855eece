// Runs mount-utils' own tests of what the port has too. Their functions are cut out of the module's
// test files and laid over the package in theirs/, whose adapter gives them our functions.

package mountutils

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// oursTested are the tests of what the port has, and the functions that they use.
var oursTested = []string{
	"TestParseMountInfo", "TestBadParseMountInfo", "TestSearchMountPoints", "TestPathWithinBase", "TestIsLikelyNotMountPoint",
	"TestDoCleanupMountPoint", "TestGetDeviceNameFromMount", "writeFile", "validateDirExists", "validateDirNotExists", "setEquivalent",
}

// notOurs are mount-utils' other tests for Linux.
var notOurs = map[string]string{
	"TestIsMountPointMatch":            "an inner function; the port compares decoded paths",
	"TestReadProcMountsFrom":           "parses /proc/mounts, which the port does not read",
	"TestGetMountRefs":                 "of the mounter in memory, which is mount-utils' own",
	"TestGetMountRefsByDev":            "an inner function of that one",
	"TestSensitiveMountOptions":        "arguments of mount(8), which the port does not run",
	"TestMakeBindOpts":                 "as above",
	"TestMakeBindOptsSensitive":        "as above",
	"TestOptionsForLogging":            "as above",
	"TestGetBindMountOptions":          "as above",
	"TestHasSystemd":                   "as above",
	"TestDetectSafeNotMountedBehavior": "what umount(8) prints, which the port does not run",
	"TestCheckUmountError":             "as above",
	"TestFormatConcurrency":            "formats disks",
	"TestFormatTimeout":                "as above",
	"TestWithMaxConcurrentFormat":      "as above",
	"TestSafeFormatAndMount":           "formats disks, and mounts by the mounter in memory",
}

const saysWhere = "the error names the file, the line and the field, and not the line's text, which may hold secrets"

// differing are the rows of their tables in which the port answers otherwise, with the reason.
var differing = map[string]string{
	"missing major:minor field": saysWhere,
	"empty major field":         saysWhere,
	"empty minor field":         saysWhere,
	"alphabet in major field":   saysWhere,
	"alphabet in minor field":   saysWhere,
}

// sinceV035 are the tests that older releases do not have.
var sinceV035 = []string{"TestIsLikelyNotMountPoint"}

func TestMountUtilsOwnTests(t *testing.T) {
	for _, version := range []string{"v0.29.6", "v0.35.4", "v0.37.2"} {
		t.Run(version, func(t *testing.T) { runTheirTests(t, version) })
	}
}

func runTheirTests(t *testing.T, version string) {
	var module struct{ Dir string }
	must(t, json.Unmarshal([]byte(output(t, "go", "mod", "download", "-json", "k8s.io/mount-utils@"+version)), &module))
	work := t.TempDir()
	overlay := map[string]map[string]string{"Replace": {}}
	found := map[string]bool{}
	for _, name := range []string{"mount_helper_unix_test.go", "mount_helper_test.go", "mount_linux_test.go", "mount_test.go", "safe_format_and_mount_test.go"} {
		cut := cutOut(t, filepath.Join(module.Dir, name), found)
		if cut == nil {
			continue
		}
		file := filepath.Join(work, name)
		must(t, os.WriteFile(file, cut, 0o600))
		here, err := filepath.Abs(filepath.Join("theirs", "their_"+name))
		must(t, err)
		overlay["Replace"][here] = file
	}
	for _, name := range oursTested {
		if !found[name] && (version != "v0.29.6" || !slices.Contains(sinceV035, name)) {
			t.Errorf("mount-utils has no %s any more", name)
		}
	}
	listed, err := json.Marshal(overlay)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(work, "overlay.json"), listed, 0o600))

	command := exec.Command("go", "test", "-count=1", "-v", "-overlay", filepath.Join(work, "overlay.json"), "./theirs")
	said, err := command.CombinedOutput()
	if !bytes.Contains(said, []byte("--- PASS: TestParseMountInfo")) {
		t.Fatalf("mount-utils' tests do not run: %v\n%s", err, said)
	}
	failed := complaints(t, string(said))
	for row, what := range failed {
		if differing[row] == "" {
			t.Errorf("mount-utils' test fails without a reason given: %s: %s", row, what)
		}
	}
	for row := range differing {
		if failed[row] == "" {
			t.Errorf("mount-utils' row %q passes, where it is said to differ", row)
		}
	}
	tests := strings.Count(string(said), "--- PASS: ") + strings.Count(string(said), "--- FAIL: ")
	fmt.Printf("%s: %d tests and subtests of mount-utils ran, %d rows differ\n", t.Name(), tests, len(failed))
}

// complaint is a line in which a test complains: ROW is what it calls the row.
var complaint = regexp.MustCompile(`(?m)^ +\w+_test\.go:\d+: ((?:Test case |[Tt]est )?("[^"]+"|\S+).*)$`)

// complaints are the rows in which tests complain, with the complaint.
func complaints(t *testing.T, said string) map[string]string {
	t.Helper()
	rows := map[string]string{}
	for _, match := range complaint.FindAllStringSubmatch(said, -1) {
		row := match[2]
		if unquoted, err := strconv.Unquote(row); err == nil {
			row = unquoted
		}
		rows[row] = match[1]
	}
	return rows
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	var complained bytes.Buffer
	command := exec.Command(name, args...)
	command.Stderr = &complained
	said, err := command.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, complained.String())
	}
	return strings.TrimSpace(string(said))
}

// cutOut is a test file with nothing in it but the functions that are wanted and what these import;
// nil when there are none. Every test that is neither wanted nor named is an error.
func cutOut(t *testing.T, name string, found map[string]bool) []byte {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
	must(t, err)
	var kept []ast.Decl
	used := map[string]bool{}
	for _, decl := range file.Decls {
		function, ok := decl.(*ast.FuncDecl)
		if !ok {
			continue
		}
		called := function.Name.Name
		if !slices.Contains(oursTested, called) {
			if strings.HasPrefix(called, "Test") && notOurs[called] == "" {
				t.Errorf("mount-utils has a test that is not known here: %s", called)
			}
			continue
		}
		found[called] = true
		kept = append(kept, function)
		ast.Inspect(function, func(node ast.Node) bool {
			if selector, ok := node.(*ast.SelectorExpr); ok {
				if of, ok := selector.X.(*ast.Ident); ok {
					used[of.Name] = true
				}
			}
			return true
		})
	}
	if kept == nil {
		return nil
	}
	var out bytes.Buffer
	out.WriteString("package mount\n")
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		must(t, err)
		as := filepath.Base(path)
		if spec.Name != nil {
			as = spec.Name.Name
		}
		if used[as] {
			fmt.Fprintf(&out, "import %s %q\n", as, path)
		}
	}
	for _, decl := range kept {
		out.WriteString("\n")
		must(t, format.Node(&out, files, decl))
		out.WriteString("\n")
	}
	return out.Bytes()
}
