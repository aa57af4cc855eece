// The second half of the generator: calls and edits.

package parity

import (
	"strconv"
	"strings"
)

func itoa(n int) string { return strconv.Itoa(n) }

// step makes one call or a few steps that belong together.
func (g *generator) step() []Step {
	s := Step{Mounter: g.mounter, Umask: g.umask(), V: []int{5, 4, 3, 0}[g.weighted(70, 12, 6, 12)]}
	if g.percent(8) {
		s.Cred = pick(g.rnd, []string{"nodac", "user"})
	}
	if g.mounter == "fake" && g.percent(10) {
		s.Mounter = "skip"
	}
	switch g.weighted(26, 26, 14, 4, 4, 4, 4, 6, 12) {
	case 0:
		s.Op = OpMake
		s.Base, s.Path, s.Perm = g.base(), g.subdir(), g.perm()
	case 1:
		s.Op, s.Sub = OpBind, g.subpath()
	case 2:
		s.Op, s.Sub = OpClean, Subpath{PodDir: g.podDir(), VolumeName: pick(g.rnd, g.volumes)}
	case 3:
		s.Op, s.Base = OpOpen, g.base()
		s.Path = g.under(s.Base)
	case 4:
		s.Op, s.Base, s.Perm = OpMkdir, g.base(), g.perm()
		s.Path = g.under(s.Base)
	case 5:
		s.Op, s.Base = OpPrefix, g.base()
		s.Path = g.under(s.Base)
	case 6:
		s.Op, s.Base = OpEmpty, g.podDir()
		if g.percent(30) {
			s.Base = g.base()
		}
		s.Path = g.under(s.Base)
		if g.percent(40) {
			s.Path = s.Base + "/volume-subpaths/" + pick(g.rnd, g.volumes) + "/" + pick(g.rnd, g.conts)
		}
	case 7:
		s.Op, s.Sub = OpTarget, g.subpath()
		if g.percent(70) { // as doBindSubPath calls it
			s.Sub.VolumePath = RootA + "/" + g.vol
			s.Sub.Path = RootA + "/" + pick(g.rnd, g.all)
		}
	case 8:
		return g.edits()
	}
	if s.Op == OpBind || s.Op == OpClean || s.Op == OpTarget {
		g.faults(&s)
		if g.one(60) {
			s.Mounter = "nil"
		}
	} else if g.one(10) {
		s.Mounter = "nil" // SafeMakeDir does not need one
	}
	if s.Op == OpBind && g.percent(25) { // again, or straight to the end
		second := s
		second.Faults = nil
		if g.percent(50) {
			second.Op = OpClean
		}
		return []Step{s, second}
	}
	return []Step{s}
}

// base is a volume path: the volume, spelled somehow, or something else.
func (g *generator) base() string {
	switch g.weighted(60, 15, 15, 10) {
	case 0:
		return g.rnd.spell(RootA + "/" + g.vol)
	case 1:
		if g.volLink != "" {
			return g.rnd.spell(RootA + "/" + g.volLink)
		}
		return RootA + "/" + g.vol
	case 2:
		return g.rnd.spell(RootA + "/" + pick(g.rnd, g.all))
	default:
		return pick(g.rnd, hardPaths)
	}
}

// relative is a path to something below the volume, or to nothing.
func (g *generator) relative() string {
	var parts []string
	if g.percent(60) {
		some := pick(g.rnd, g.all)
		if rel, ok := strings.CutPrefix(some, g.vol+"/"); ok {
			parts = append(parts, rel)
		}
	}
	for n := g.weighted(25, 40, 20, 10, 5); n > 0; n-- {
		switch g.weighted(50, 35, 5, 5, 3, 2) {
		case 0:
			parts = append(parts, pick(g.rnd, g.names))
		case 1:
			parts = append(parts, g.rnd.name())
		case 2:
			parts = append(parts, "..")
		case 3:
			parts = append(parts, ".")
		case 4:
			parts = append(parts, "")
		default:
			parts = append(parts, pick(g.rnd, impossibleNames))
		}
	}
	return strings.Join(parts, "/")
}

func (g *generator) subdir() string {
	switch g.weighted(80, 10, 5, 1) {
	case 0:
		return g.rnd.spell(g.relative())
	case 1:
		return pick(g.rnd, hardPaths)
	case 2: // around the longest path there is
		room := 4096 - len(RootA) - 1 - len(g.vol) - 1
		return longPath(pick(g.rnd, []int{room + g.IntN(10) - 5, 255, 256, 5000, 1000}))
	default:
		return strings.TrimSuffix(strings.Repeat("a/", 60+g.IntN(120)), "/")
	}
}

// under is a full path that should lie below base.
func (g *generator) under(base string) string {
	switch g.weighted(60, 20, 10, 10) {
	case 0:
		return g.rnd.spell(base + "/" + g.relative())
	case 1:
		return g.rnd.spell(RootA + "/" + pick(g.rnd, g.all))
	case 2:
		return base
	default:
		return pick(g.rnd, hardPaths)
	}
}

func (g *generator) podDir() string {
	if g.one(15) {
		return pick(g.rnd, append([]string{RootA + "/" + pick(g.rnd, g.all)}, hardPaths...))
	}
	return g.rnd.spell(RootA + "/" + g.pod)
}

func (g *generator) subpath() Subpath {
	sp := Subpath{
		VolumeMountIndex: pick(g.rnd, g.indexes),
		VolumeName:       pick(g.rnd, g.volumes),
		ContainerName:    pick(g.rnd, g.conts),
		PodDir:           g.podDir(),
		VolumePath:       g.base(),
	}
	switch g.weighted(75, 15, 10) {
	case 0:
		sp.Path = g.rnd.spell(sp.VolumePath + "/" + g.relative())
	case 1: // what is surely there
		sp.VolumePath = RootA + "/" + g.vol
		sp.Path = RootA + "/" + pick(g.rnd, g.all)
	default:
		sp.Path = g.under(sp.VolumePath)
	}
	return sp
}

// targetPath is where a sub path is mounted, or one of the directories above, below the root.
func (g *generator) targetPath() string {
	parts := []string{g.pod, "volume-subpaths", pick(g.rnd, g.volumes), pick(g.rnd, g.conts), itoa(pick(g.rnd, g.indexes))}
	for i, p := range parts[2:] {
		if !clean(p) {
			parts = parts[:i+2]
			break
		}
	}
	if g.percent(25) {
		parts = parts[:1+g.IntN(len(parts))]
	}
	return strings.Join(parts, "/")
}

var faultMethods = []string{
	"IsMountPoint", "MountSensitiveWithoutSystemdWithMountFlags", "Unmount", "CanSafelySkipMountPointCheck", "lazyUnmount",
}

// faults lets the step's mounter misbehave in about a third of the steps.
func (g *generator) faults(s *Step) {
	if g.percent(65) {
		return
	}
	for n := 1 + g.weighted(60, 30, 10); n > 0; n-- {
		f := Fault{Method: pick(g.rnd, faultMethods), Nth: g.weighted(60, 20, 10, 10), Kind: -1, After: g.one(5)}
		if f.Nth == 3 {
			f.Nth = -1
		}
		switch g.weighted(50, 12, 12, 8, 6, 4) {
		case 0:
			f.What, f.Kind = "error", g.IntN(len(errorKinds))
		case 1:
			f.What = "true"
		case 2:
			f.What = "false"
		case 3:
			f.What, f.Kind = "panic", g.IntN(len(panicKinds))
		case 4:
			f.What = "goexit"
		case 5:
			f.What = "reenter"
			again := Step{Op: OpMake, Base: RootA + "/" + g.vol, Path: "again/" + pick(g.rnd, plainNames), Perm: 0o755, Mounter: s.Mounter}
			if g.percent(50) {
				again = Step{Op: OpClean, Sub: Subpath{PodDir: RootA + "/other", VolumeName: "vol"}, Mounter: s.Mounter}
			}
			f.Again = &again
		}
		if f.Method == "CanSafelySkipMountPointCheck" && f.What == "error" {
			f.What, f.Kind = "true", -1 // it has no error to give
		}
		if (f.What == "true" || f.What == "false") && g.one(3) {
			f.Kind = g.IntN(len(errorKinds))
		}
		s.Faults = append(s.Faults, f)
	}
}

// edits are what someone else does between two calls.
func (g *generator) edits() []Step {
	edit := func(e Edit) Step { return Step{Op: OpEdit, Edit: e} }
	path := pick(g.rnd, g.all)
	if g.percent(40) {
		path = g.targetPath()
	}
	switch g.weighted(20, 15, 10, 10, 10, 12, 10, 5, 8) {
	case 0:
		return []Step{edit(Edit{Kind: "make", Node: g.node(path + "/" + pick(g.rnd, g.names))})}
	case 1: // another kind of entry in its place
		if path == g.pod || path == g.vol {
			return nil
		}
		return []Step{edit(Edit{Kind: "remove", Path: path}), edit(Edit{Kind: "make", Node: g.node(path)})}
	case 2:
		return []Step{edit(Edit{Kind: "remove", Path: path})}
	case 3:
		return []Step{edit(Edit{Kind: "chmod", Path: path, Mode: uint32(g.IntN(0o10000))})}
	case 4:
		return []Step{edit(Edit{Kind: "rename", Path: path, To: pick(g.rnd, g.dirs) + "/" + pick(g.rnd, g.names)})}
	case 5:
		if g.mounter == "real" {
			return []Step{edit(Edit{Kind: "bind", Path: pick(g.rnd, g.all), To: path})}
		}
		return []Step{edit(Edit{Kind: "fake", Path: path})}
	case 6: // the target is the very file: already mounted, in a fake mounter's eyes
		from, to := pick(g.rnd, g.all), g.targetPath()
		return []Step{edit(Edit{Kind: "make", Node: Node{Kind: 'h', Path: to, Target: from}}), edit(Edit{Kind: "fake", Path: to})}
	case 7:
		return []Step{edit(Edit{Kind: "hold", Path: path})}
	default:
		return []Step{edit(Edit{Kind: "release"})}
	}
}
