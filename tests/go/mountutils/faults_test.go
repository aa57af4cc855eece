// What the others get wrong on the fixtures, each with its reason.

package mountutils

import (
	"sort"
	"strings"
	"testing"
)

// faults are the fixtures in which an implementation is wrong, with the reason.
type faults map[string]string

const (
	escapes = "leaves the kernel's escapes in the strings"
	accepts = "takes a malformed line for a mount"
	anyText = "takes what is no number, or none that fits, for 0"
)

// parseFaults are those of mount-utils' ParseMountInfo.
var parseFaults = faults{
	"btrfs-subvolumes":          escapes,
	"carriage-returns":          "splits at every white space, a CR in a name too, and takes the field for missing: the whole table is lost",
	"cifs":                      escapes,
	"cluster-file-systems":      escapes,
	"containerd-node":           escapes,
	"deleted":                   escapes,
	"docker-container":          escapes,
	"foreign-escapes":           "splits at a tab that is not escaped: the whole table is lost",
	"fuse-mounts":               escapes,
	"linux-2.6.32":              escapes,
	"loop-devices":              escapes,
	"malformed-device-overflow": accepts,
	"malformed-double-space":    accepts,
	"malformed-id-negative":     accepts,
	"malformed-leading-space":   accepts,
	"malformed-parent":          accepts,
	"malformed-tabs":            accepts,
	"mount-point-bytes":         escapes + ", and splits at VT, FF and CR",
	"nfs":                       escapes,
	"odd-names":                 escapes + ", and splits at white space that the kernel does not escape",
	"overlay-escapes":           escapes,
	"quoted-options":            "takes a quote in a file name for one that opens a quoted value",
	"root-bytes":                escapes + ", and splits at VT, FF and CR",
	"source-bytes":              escapes + ", and splits at VT, FF and CR",
	"sources":                   "takes an empty source for a missing field: the whole table is lost",
	"spaces-in-options":         "ends the super options at a space in them",
	"wsl1":                      escapes,
	"wsl2":                      escapes,
}

// mobyFaults are those of moby's GetMountsFromReader.
var mobyFaults = faults{
	"blank-lines":                   "gives up at a blank line",
	"foreign-escapes":               "gives up at a backslash that begins no escape",
	"large-ids":                     anyText,
	"long-lines":                    "gives up at a line of more than 64 KiB",
	"malformed-device-overflow":     anyText,
	"malformed-device-word":         anyText,
	"malformed-double-space":        accepts,
	"malformed-empty-super-options": accepts,
	"malformed-empty-type":          accepts,
	"malformed-id":                  anyText,
	"malformed-id-negative":         accepts,
	"malformed-id-overflow":         anyText,
}

const lastLine = "takes the last line whose mount point holds the path, which is not always the mount that the path lies on"

// searchFaults are those of mount-utils' SearchMountPoints.
var searchFaults = faults{
	"btrfs-subvolumes": escapes,
	"containerd-node":  escapes,
	"deleted":          "cleans the mark of a deleted directory, and so finds no other mount of it",
	"foreign-escapes":  parseFaults["foreign-escapes"],
	"linux-2.6.32":     escapes,
	"loop-devices":     escapes,
	"moved":            lastLine,
	"odd-names":        escapes,
	"root-bytes":       escapes,
	"root-line-last":   lastLine,
	"sources":          parseFaults["sources"],
	"wsl2":             escapes,
}

// named fails for each fixture in which an implementation is wrong without being named, or named
// without being wrong. What is wrong begins with the fixture's name and a colon.
func named(t *testing.T, c *tally, reasons faults) {
	t.Helper()
	wrong := map[string]string{}
	for _, what := range c.wrong {
		name, _, _ := strings.Cut(what, ":")
		if wrong[name] == "" {
			wrong[name] = what
		}
	}
	var complaints []string
	for name, what := range wrong {
		if reasons[name] == "" {
			complaints = append(complaints, "is wrong without a reason given in "+what)
		}
	}
	for name := range reasons {
		if wrong[name] == "" {
			complaints = append(complaints, "is right in "+name+", where it is said to be wrong")
		}
	}
	sort.Strings(complaints)
	for _, complaint := range complaints {
		t.Errorf("%s %s", c.name, complaint)
	}
}
