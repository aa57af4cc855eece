// Replays every fixture of testdata: the same files that drive the Rust tests.

package mountutils

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	moby "github.com/moby/sys/mountinfo"
	"k8s.io/mount-utils"
	"rustsubpath"
)

// text is a field of a fixture: a JSON string, or {"hex": "…"} for bytes that are no UTF-8.
type text string

func (s *text) UnmarshalJSON(data []byte) error {
	var odd struct{ Hex string }
	if json.Unmarshal(data, &odd) == nil {
		raw, err := hex.DecodeString(odd.Hex)
		*s = text(raw)
		return err
	}
	return json.Unmarshal(data, (*string)(s))
}

type record struct {
	ID             uint64 `json:"id"`
	ParentID       uint64 `json:"parent_id"`
	Major          uint64 `json:"major"`
	Minor          uint64 `json:"minor"`
	Root           text   `json:"root"`
	MountPoint     text   `json:"mount_point"`
	MountOptions   []text `json:"mount_options"`
	OptionalFields []text `json:"optional_fields"`
	FsType         text   `json:"fs_type"`
	Source         text   `json:"source"`
	SuperOptions   []text `json:"super_options"`
}

func strs(texts []text) []string {
	s := make([]string, len(texts))
	for i, text := range texts {
		s[i] = string(text)
	}
	return s
}

// fits says whether Go's int holds the record's numbers.
func (r *record) fits() bool { return r.ID|r.ParentID|r.Major|r.Minor <= math.MaxInt }

// mountInfo is the record as mount-utils has it.
func (r *record) mountInfo() mount.MountInfo {
	info := mount.MountInfo{
		ID: int(r.ID), ParentID: int(r.ParentID), Major: int(r.Major), Minor: int(r.Minor),
		Root: string(r.Root), MountPoint: string(r.MountPoint), FsType: string(r.FsType), Source: string(r.Source),
		MountOptions: strs(r.MountOptions), SuperOptions: strs(r.SuperOptions),
	}
	if len(r.OptionalFields) > 0 {
		info.OptionalFields = strs(r.OptionalFields)
	}
	return info
}

// sameAsMoby compares what both decode: moby's options are meant to be as they are printed.
func (r *record) sameAsMoby(info *moby.Info) bool {
	want := moby.Info{
		ID: int(r.ID), Parent: int(r.ParentID), Major: int(r.Major), Minor: int(r.Minor), Root: string(r.Root),
		Mountpoint: string(r.MountPoint), Options: info.Options, Optional: strings.Join(strs(r.OptionalFields), " "),
		FSType: string(r.FsType), Source: string(r.Source), VFSOptions: info.VFSOptions,
	}
	return *info == want
}

type fixture struct {
	name, file string
	Records    []record `json:"records"`
	References []struct {
		Source      text   `json:"source"`
		MountPoints []text `json:"mount_points"`
	} `json:"references"`
	Malformed *struct {
		Line  int    `json:"line"`
		Field string `json:"field"`
	} `json:"malformed"`
}

func fixtures(t *testing.T) []fixture {
	t.Helper()
	files, err := filepath.Glob("../../../testdata/mountinfo/*.mountinfo")
	must(t, err)
	if len(files) < 30 {
		t.Fatalf("only %d fixtures", len(files))
	}
	var all []fixture
	for _, file := range files {
		stem := strings.TrimSuffix(file, ".mountinfo")
		f := fixture{name: filepath.Base(stem), file: file}
		data, err := os.ReadFile(stem + ".json")
		must(t, err)
		decoder := json.NewDecoder(bytes.NewReader(data))
		if err := decoder.Decode(&f); err != nil {
			t.Fatalf("%s: %v", f.name, err)
		}
		all = append(all, f)
	}
	return all
}

func TestParseMountInfoOnEveryFixture(t *testing.T) {
	ours, theirs, mobys := &tally{name: "the port"}, &tally{name: "mount-utils"}, &tally{name: "moby"}
	for _, f := range fixtures(t) {
		infos, err := rustsubpath.ParseMountInfo(f.file)
		theirInfos, theirErr := mount.ParseMountInfo(f.file)
		mobyInfos, mobyErr := mobyParse(f.file)
		tooLarge := slices.IndexFunc(f.Records, func(r record) bool { return !r.fits() })
		switch {
		case f.Malformed != nil:
			begin := fmt.Sprintf("%s: line %d: %s: ", f.file, f.Malformed.Line, f.Malformed.Field)
			ours.check(infos == nil && err != nil && strings.HasPrefix(err.Error(), begin), "%s: %v, expected %s…", f.name, err, begin)
		case tooLarge >= 0:
			// The types that callers have cannot hold it; a table without it would be wrong.
			ours.check(infos == nil && err != nil && strings.Contains(err.Error(), fmt.Sprintf("mount %d: its IDs", tooLarge+1)), "%s: %v", f.name, err)
		default:
			same := func(r *record, i mount.MountInfo) bool { return reflect.DeepEqual(i, r.mountInfo()) }
			compare(ours, f, infos, err, mount.MountInfo{}, same)
			compare(theirs, f, theirInfos, theirErr, mount.MountInfo{}, same)
			compare(mobys, f, mobyInfos, mobyErr, &moby.Info{}, (*record).sameAsMoby)
			continue
		}
		theirs.check(theirErr != nil, "%s", f.name)
		mobys.check(mobyErr != nil, "%s", f.name)
	}
	named(t, theirs, parseFaults)
	named(t, mobys, mobyFaults)
	report(t, ours, theirs, mobys)
}

// compare counts each record of a fixture. A table that cannot be read has none of them right.
func compare[Info any](c *tally, f fixture, infos []Info, err error, none Info, same func(*record, Info) bool) {
	c.check(err == nil && len(infos) == len(f.Records), "%s: %d mounts, %v, expected %d", f.name, len(infos), err, len(f.Records))
	for i := range f.Records {
		got := none
		if i < len(infos) {
			got = infos[i]
		}
		c.check(same(&f.Records[i], got), "%s: mount %d is %+v, expected %+v", f.name, i+1, got, f.Records[i])
	}
}

func mobyParse(file string) ([]*moby.Info, error) {
	open, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer open.Close()
	return moby.GetMountsFromReader(open, nil)
}

func TestSearchMountPointsOnEveryFixture(t *testing.T) {
	ours, theirs := &tally{name: "the port"}, &tally{name: "mount-utils"}
	for _, f := range fixtures(t) {
		if f.Malformed != nil {
			refs, err := rustsubpath.SearchMountPoints("/", f.file)
			ours.check(refs == nil && err != nil, "%s: %q", f.name, refs)
			continue
		}
		for _, row := range f.References {
			source, want := string(row.Source), strs(row.MountPoints)
			refs, err := rustsubpath.SearchMountPoints(source, f.file)
			ours.check(err == nil && slices.Equal(refs, want), "%s: %q: %q, %v, expected %q", f.name, source, refs, err, want)
			refs, err = mount.SearchMountPoints(source, f.file)
			theirs.check(err == nil && slices.Equal(refs, want), "%s: %q: %q, %v, expected %q", f.name, source, refs, err, want)
		}
	}
	named(t, theirs, searchFaults)
	report(t, ours, theirs)
}
