// The deliberate deviations, by the names that they have in SECURITY.md, where stands what the original
// does, what the port does instead, and why. Each is excused only under the condition written here, and
// everything else must be equal. deviation_shown.go shows each side's behaviour directly.

package parity

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Deviation is one rule.
type Deviation struct {
	Name string
	// when looks at the step and at side A before it is taken; allow at what came out. A rule
	// without them is about races or hangs alone, which random cases do not have.
	when  func(c *situation) bool
	allow func(c *situation, a, b *outcome, d []difference) bool
}

// situation is what was known before a step.
type situation struct {
	step   Step
	before snapshot // of side A, which is equal to side B
	mounts []string // of side A
	rules  []*Deviation
}

// Deviations is the list.
var Deviations = []Deviation{
	{
		Name: "fifo-volume",
		when: func(c *situation) bool {
			base := c.step.Base
			switch c.step.Op {
			case OpBind:
				base = c.step.Sub.VolumePath
			case OpMake, OpMkdir, OpPrefix, OpOpen:
			default:
				return false
			}
			var st unix.Stat_t
			return unix.Stat(base, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFIFO
		},
		allow: func(c *situation, a, b *outcome, d []difference) bool {
			return a.err != nil && b.err != nil && sameTree(c.before, b.tree) && only(d, "error text", "log")
		},
	},
	{Name: "made-by-another"},
	{
		Name: "made-halfway",
		when: func(c *situation) bool {
			switch c.step.Op {
			case OpMake:
				return impossible(filepath.Join(c.step.Base, c.step.Path))
			case OpMkdir:
				return impossible(c.step.Path)
			case OpBind, OpTarget:
				return impossible(c.target())
			}
			return false
		},
		allow: func(c *situation, a, b *outcome, d []difference) bool {
			// Without root's rights the original may be stopped at a level that it has just made.
			words := []string{"tree", "files replaced"}
			if c.step.Cred != "" {
				words = append(words, "error", "os.Is", "Errno", "is an Errno", "unwrap chain", "log")
			}
			return a.err != nil && b.err != nil && only(d, words...) &&
				(sameTree(c.before, b.tree) || c.madeOnlyPod(b.tree))
		},
	},
	{
		Name: "link-above-target",
		when: func(c *situation) bool {
			switch c.step.Op {
			case OpBind, OpTarget:
				return c.linkBetween(c.step.Sub.PodDir, filepath.Dir(c.target()))
			case OpClean:
				return c.linkBetween(c.step.Sub.PodDir, filepath.Join(c.step.Sub.PodDir, "volume-subpaths", c.step.Sub.VolumeName))
			case OpEmpty:
				for path := c.step.Path; path != c.step.Base && path != "/" && path != "."; path = filepath.Dir(path) {
					if isLink(path) {
						return true
					}
				}
			}
			return false
		},
		allow: func(c *situation, a, b *outcome, d []difference) bool {
			return b.err != nil && sameTree(c.before, b.tree)
		},
	},
	{
		Name: "link-as-target",
		when: func(c *situation) bool {
			switch c.step.Op {
			case OpBind, OpTarget:
				return isLink(c.target())
			case OpClean:
				volume := filepath.Join(c.step.Sub.PodDir, "volume-subpaths", c.step.Sub.VolumeName)
				containers, _ := os.ReadDir(volume)
				for _, container := range containers {
					entries, _ := os.ReadDir(filepath.Join(volume, container.Name()))
					for _, entry := range entries {
						if entry.Type() == os.ModeSymlink {
							return true
						}
					}
				}
			}
			return false
		},
		allow: func(c *situation, a, b *outcome, d []difference) bool {
			below := filepath.Join(c.step.Sub.PodDir, "volume-subpaths", c.step.Sub.VolumeName)
			return onlyBelow(c, below, b.tree)
		},
	},
	{
		Name: "mounted-file",
		when: func(c *situation) bool {
			if c.step.Op != OpBind && c.step.Op != OpTarget {
				return false
			}
			target := c.absolute(c.target()) + " from "
			return slices.ContainsFunc(c.mounts, func(m string) bool { return strings.HasPrefix(m, target) })
		},
		allow: func(c *situation, a, b *outcome, d []difference) bool {
			return only(d, "tree", "mounter event")
		},
	},
	{Name: "o-directory"},
	{Name: "fifo-target"},
	{
		Name: "stdin-closed",
		when: func(c *situation) bool { return c.step.Op == OpOpen && strings.ContainsRune(c.step.Path, 0) },
		allow: func(c *situation, a, b *outcome, d []difference) bool {
			return only(d, "descriptors left open") && d[0].a == "[closed /dev/null]" && d[0].b == "[]"
		},
	},
	{
		Name: "relative-base",
		when: func(c *situation) bool {
			return c.step.Op == OpMake && !filepath.IsAbs(c.step.Base) || c.step.Op == OpMkdir && !filepath.IsAbs(c.step.Path)
		},
		allow: func(c *situation, a, b *outcome, d []difference) bool {
			return a.err != nil && b.err != nil && sameTree(c.before, b.tree) && only(d, "tree", "files replaced")
		},
	},
}

// look finds the rules that a step may fall under.
func look(step Step, before snapshot, a, b *side) *situation {
	c := &situation{step: step, before: before}
	if a.impl.BlocksOnFIFO == b.impl.BlocksOnFIFO || step.Op == OpEdit || os.Chdir(RootA) != nil {
		return c // the original beside itself has no deviations
	}
	if step.Mounter == "real" {
		c.mounts = mountsOf(topA)
	}
	for i := range Deviations {
		if rule := &Deviations[i]; rule.when != nil && rule.when(c) {
			c.rules = append(c.rules, rule)
		}
	}
	return c
}

// rule gives the rule of that name if the step may fall under it.
func (c *situation) rule(name string) *Deviation {
	for _, rule := range c.rules {
		if rule.Name == name {
			return rule
		}
	}
	return nil
}

// excuse gives the rule that covers all differences of a step, or nil.
func (c *situation) excuse(a, b *outcome, d []difference) *Deviation {
	for _, rule := range c.rules {
		if rule.allow(c, a, b, d) {
			return rule
		}
	}
	return nil
}

// only says whether every difference is in a facet whose name begins with one of the words.
func only(ds []difference, words ...string) bool {
	return !slices.ContainsFunc(ds, func(d difference) bool { return !beginsWith(d.facet, words...) })
}

func sameTree(a, b snapshot) bool { return diffTrees(a, b) == nil }

// onlyBelow says whether a tree differs from what was before only below dir and in the
// directories that lead there.
func onlyBelow(c *situation, dir string, after snapshot) bool {
	rel, err := filepath.Rel(topA, c.absolute(dir))
	if err != nil {
		return false
	}
	mounts := mountTable()
	for _, path := range unionKeys(c.before, after) {
		was, is := c.before[path], after[path]
		was.nlink, is.nlink = 0, 0 // a link that goes may have another name elsewhere
		if was.sameAs(is) || mountedOver(mounts, path) {
			continue
		}
		if !within(path, rel) && !within(rel, path) {
			return false
		}
	}
	return true
}

// madeOnlyPod says whether the step made the pod's directory and nothing else.
func (c *situation) madeOnlyPod(after snapshot) bool {
	pod, err := filepath.Rel(topA, c.absolute(c.step.Sub.PodDir))
	if err != nil || c.step.Op != OpBind && c.step.Op != OpTarget {
		return false
	}
	for _, path := range unionKeys(c.before, after) {
		if !c.before[path].sameAs(after[path]) && path != "." && !within(pod, path) {
			return false
		}
	}
	return true
}

// mountedOver says whether a path below the top shows something that is mounted there from elsewhere
// on the side, where it is seen as well.
func mountedOver(mounts []mountLine, path string) bool {
	return slices.ContainsFunc(mounts, func(m mountLine) bool {
		return m.point != topA && within(m.point, topA) && within(topA+"/"+path, m.point)
	})
}

func within(path, dir string) bool { return path == dir || strings.HasPrefix(path, dir+"/") }

// absolute makes a path of the step absolute, as side A sees it.
func (c *situation) absolute(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(RootA, path)
}

// target is where the original mounts the step's sub path.
func (c *situation) target() string {
	sp := c.step.Sub
	return filepath.Join(sp.PodDir, "volume-subpaths", sp.VolumeName, sp.ContainerName, itoa(sp.VolumeMountIndex))
}

// linkBetween says whether one of path's components below dir is a symlink.
func (c *situation) linkBetween(dir, path string) bool {
	dir, path = filepath.Clean(dir), filepath.Clean(path)
	for path != dir && len(path) > 1 && path != "." {
		if isLink(path) {
			return true
		}
		path = filepath.Dir(path)
	}
	return false
}

func isLink(path string) bool {
	st, err := os.Lstat(path)
	return err == nil && st.Mode()&os.ModeSymlink != 0
}

// impossible says whether a path cannot be made because of its own bytes.
func impossible(path string) bool {
	tooLong := func(name string) bool { return len(name) > 255 }
	return len(path) > 3900 || strings.ContainsRune(path, 0) || slices.ContainsFunc(strings.Split(path, "/"), tooLong)
}
