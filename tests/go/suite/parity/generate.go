// Making a case from a seed: a tree with everything in it that has ever gone wrong, and calls that
// meet it.

package parity

import (
	"math"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// generator holds what the parts of one case share.
type generator struct {
	rnd
	names   []string // names in the tree and in the arguments
	tree    []Node
	dirs    []string // paths below the root, of the tree's entries
	all     []string
	vol     string // the volume and the pod's directory, below the root
	pod     string
	volLink string // a link that leads to the volume, or ""
	volumes []string
	conts   []string
	indexes []int
	mounter string
}

// Generate makes the case of a seed.
func Generate(seed uint64) Case {
	g := &generator{rnd: newRnd(seed)}
	g.names = append(g.rnd.names(4), pick(g.rnd, plainNames))
	g.layout()
	g.fill()
	g.volumes = []string{"vol", g.word(), g.word()}
	g.conts = []string{"cont", g.word()}
	g.indexes = []int{0, 1, pick(g.rnd, []int{2, 10, -1, math.MaxInt64, math.MinInt64, 1 << 31})}
	g.mounter = []string{"fake", "real"}[g.weighted(60, 40)]
	if g.percent(40) {
		g.leftovers()
	}
	c := Case{Seed: seed, Tree: g.tree}
	for n := 6 + g.IntN(20); n > 0; n-- {
		c.Steps = append(c.Steps, g.step()...)
	}
	return c
}

func (g *generator) add(n Node) {
	for _, old := range g.tree {
		if old.Path == n.Path {
			return
		}
	}
	g.tree = append(g.tree, n)
	g.all = append(g.all, n.Path)
	if n.Kind == 'd' {
		g.dirs = append(g.dirs, n.Path)
	}
}

func dir(path string) Node { return Node{Kind: 'd', Path: path, Mode: 0o755} }

// layout makes the volume, the pod's directory, something outside, and links to them.
func (g *generator) layout() {
	g.add(dir("out"))
	g.add(dir("out/secret"))
	g.add(Node{Kind: 'f', Path: "out/file", Mode: 0o600, Size: 5})
	g.vol = "vol"
	switch g.IntN(4) {
	case 0:
		g.add(dir("volumes"))
		g.vol = "volumes/" + pick(g.rnd, g.names)
	case 1:
		g.vol = pick(g.rnd, g.names)
	}
	g.add(dir(g.vol))
	switch g.weighted(60, 20, 10, 5, 5) {
	case 0:
		g.pod = "pod"
		g.add(dir(g.pod))
	case 1:
		g.add(dir("pods"))
		g.pod = "pods/" + g.word()
		g.add(dir(g.pod))
	case 2:
		g.pod = "pods/uid" // not there yet
	case 3:
		g.add(dir("realpod"))
		g.pod = "podlink"
		g.add(Node{Kind: 'l', Path: g.pod, Target: pick(g.rnd, []string{"realpod", RootA + "/realpod"})})
	case 4:
		g.pod = g.vol // of all places
	}
	if g.percent(40) {
		g.volLink = "vlink"
		g.add(Node{Kind: 'l', Path: g.volLink, Target: g.rnd.spell(pick(g.rnd, []string{g.vol, RootA + "/" + g.vol}))})
	}
}

// fill puts entries into the volume, a few elsewhere.
func (g *generator) fill() {
	below := []string{g.vol}
	for n := 3 + g.IntN(22); n > 0; n-- {
		where := pick(g.rnd, below)
		if g.percent(10) {
			where = pick(g.rnd, g.dirs)
		}
		node := g.node(where + "/" + pick(g.rnd, g.names))
		if node.Kind == 'd' && len(below) < 12 {
			below = append(below, node.Path)
		}
		g.add(node)
	}
	if g.one(30) {
		g.chain()
	}
	if g.one(25) {
		g.deep()
	}
}

// node makes an entry of a random kind.
func (g *generator) node(path string) Node {
	n := Node{Path: path, Mode: 0o755}
	if g.percent(20) {
		n.Mode = uint32(g.IntN(0o10000))
	}
	if g.percent(20) {
		n.UID = pick(g.rnd, []int{1000, 65534, math.MaxInt32, 1})
		n.GID = pick(g.rnd, []int{1000, 65534, 0})
	}
	switch g.weighted(40, 16, 30, 5, 3, 4, 2) {
	case 0:
		n.Kind = 'd'
	case 1:
		n.Kind, n.Size = 'f', g.IntN(3)*7
	case 2:
		n.Kind, n.Target = 'l', g.target()
	case 3:
		n.Kind = 'p'
	case 4:
		n.Kind = 's'
	case 5: // null, zero, and a number that no driver has
		n.Kind = 'c'
		n.Dev = int(pick(g.rnd, []uint64{unix.Mkdev(1, 3), unix.Mkdev(1, 5), unix.Mkdev(0, 0), unix.Mkdev(511, 9)}))
	case 6:
		n.Kind, n.Dev = 'b', int(unix.Mkdev(500, 77))
	}
	return n
}

// target makes what a link points to.
func (g *generator) target() string {
	some := pick(g.rnd, g.all)
	switch g.weighted(14, 14, 8, 8, 10, 6, 6, 6, 4, 3, 3, 3) {
	case 0:
		return g.rnd.spell(RootA + "/" + some)
	case 1: // relative, from one or two levels down
		return g.rnd.spell(strings.Repeat("../", 1+g.IntN(3)) + some)
	case 2: // through the volume's own link
		if g.volLink != "" {
			return RootA + "/" + g.volLink + "/" + pick(g.rnd, g.names)
		}
		return "vlink"
	case 3: // dangling
		return pick(g.rnd, []string{"nowhere", RootA + "/nowhere", RootA + "/" + g.vol + "/new/dir", "../nowhere/x", g.word()})
	case 4: // a sibling, perhaps the link itself
		return pick(g.rnd, g.names)
	case 5:
		return pick(g.rnd, g.names) + "/" + pick(g.rnd, g.names)
	case 6:
		return pick(g.rnd, []string{".", "..", "../..", "./", "../", "/", "//", "../../../../../../..", "/.."})
	case 7: // out of the volume
		return pick(g.rnd, []string{RootA + "/out", RootA + "/out/secret", "../out", "/etc", "/etc/passwd"})
	case 8: // out of it and back in
		return RootA + "/out/../" + g.vol + "/" + pick(g.rnd, g.names)
	case 9:
		return pick(g.rnd, []string{"/proc/self", "/proc/self/root", "/proc/self/cwd", "/proc/self/fd/999", "/proc/self/exe"})
	case 10:
		return pick(g.rnd, hardPaths[8:])[:]
	default:
		return longPath(pick(g.rnd, []int{255, 1000, 4000, 4095}))
	}
}

// chain makes links that lead to links, around the limits of the kernel (40) and of EvalSymlinks
// (255). Between 20 and 40 the kernel itself is of two minds: a walk that it begins anew, when
// something else moves on the machine, goes on counting.
func (g *generator) chain() {
	n := pick(g.rnd, []int{3, 20, 41, 42, 100, 254, 255, 256, 257})
	end := pick(g.rnd, []string{"chained", "nowhere", "c0"})
	g.add(dir(g.vol + "/chained"))
	for i := 0; i < n; i++ {
		next := "c" + itoa(i+1)
		if i == n-1 {
			next = end
		}
		if g.one(20) {
			next = RootA + "/" + g.vol + "/" + next
		}
		// Only the head is used as an argument.
		g.tree = append(g.tree, Node{Kind: 'l', Path: g.vol + "/c" + itoa(i), Target: next})
	}
	g.all = append(g.all, g.vol+"/c0", g.vol+"/c0", g.vol+"/c"+itoa(n-1))
	g.dirs = append(g.dirs, g.vol+"/c0")
}

// deep makes directories whose path is about as long as the kernel takes.
func (g *generator) deep() {
	room := 4096 - len(RootA) - 1 - len(g.vol) - 1
	path := g.vol + "/" + longPath(room+g.IntN(12)-6)
	parts := strings.Split(path, "/")
	for i := strings.Count(g.vol, "/") + 2; i <= len(parts); i++ {
		g.tree = append(g.tree, dir(strings.Join(parts[:i], "/")))
	}
	up := path[:strings.LastIndexByte(path, '/')]
	g.all = append(g.all, path, path, up)
	g.dirs = append(g.dirs, path, up)
}

// leftovers puts something where the targets go.
func (g *generator) leftovers() {
	if g.pod == "pods/uid" {
		g.add(dir("pods"))
		g.add(dir(g.pod))
	}
	base := g.pod + "/volume-subpaths"
	for _, part := range []string{"", "/" + pick(g.rnd, g.volumes), "/" + pick(g.rnd, g.conts)} {
		base += part
		if part != "" && !clean(part[1:]) {
			return
		}
		if g.one(12) { // something else in the way
			g.add(g.node(base))
		} else {
			g.add(dir(base))
		}
	}
	for n := g.IntN(4); n > 0; n-- {
		name := itoa(pick(g.rnd, g.indexes))
		if g.one(4) {
			name = pick(g.rnd, g.names)
		}
		node := dir(base + "/" + name)
		if g.percent(50) {
			node = g.node(node.Path)
		}
		g.add(node)
	}
}

// clean says whether a name can be one component of a path.
func clean(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00") && len(name) < 256
}

// word is a name for an argument: mostly possible, sometimes not.
func (g *generator) word() string {
	switch g.weighted(50, 40, 6, 4) {
	case 0:
		return pick(g.rnd, g.names)
	case 1:
		return pick(g.rnd, plainNames)
	case 2:
		return pick(g.rnd, []string{"a/b", "..", ".", "", "../x", "/", "a/../b", "../../..", "x/", "/abs"})
	default:
		return pick(g.rnd, impossibleNames)
	}
}

var perms = []os.FileMode{
	0o755, 0o750, 0o700, 0o777, 0, 0o7777, 0o001, 0o200, os.ModeSetgid | 0o770, os.ModeSetuid | 0o755, os.ModeSticky | 0o777,
	os.ModeDir | 0o755, os.ModeSetgid | os.ModeSetuid | os.ModeSticky | 0o777, os.ModeSymlink | 0o644, math.MaxUint32,
}

func (g *generator) perm() os.FileMode {
	switch g.weighted(50, 25, 25) {
	case 0:
		return 0o750
	case 1:
		return pick(g.rnd, perms)
	default:
		return os.FileMode(g.Uint32())
	}
}

func (g *generator) umask() int {
	return []int{0, 0o022, 0o077, 0o777, g.IntN(0o1000)}[g.weighted(25, 40, 10, 5, 20)]
}
