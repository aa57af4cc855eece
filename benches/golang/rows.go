// The rows of the table: which work, at how many mounts, by whom.

package main

import (
	"fmt"
	"path/filepath"
	"strings"

	mount "k8s.io/mount-utils"
	"rustsubpath"
)

// row is one kind of work, done by several contestants.
type row struct {
	id     string
	name   string
	mounts int // other mounts in the namespace; 0 where they do not matter
	// per is by how many operations a batch's count is multiplied.
	per         int
	contestants []contestant
	// counted says that calls per operation are counted too.
	counted bool
	target  string
}

type contestant struct {
	name  string
	count int
	run   batch
	ask   string // the worker's request, when it is the worker's
	// without names the system calls that the worker does without.
	without string
}

// fallbacks are the newer system calls that an old kernel or a sandbox may refuse, by the column that
// shows the port without them.
var fallbacks = []struct{ column, without string }{
	{"port", ""},
	{"no openat2", "openat2"},
	{"no mount root", "statx_mount_root"},
	{"no open_tree", "open_tree"},
	{"none", "openat2,statx,open_tree"},
}

func (w *worker) batch(request string) batch {
	return func(watch *watch, count int) error {
		name, rest, _ := strings.Cut(request, " ")
		took, err := w.ask(fmt.Sprint(name, " ", count, " ", rest))
		watch.total += took
		return err
	}
}

type pair = func(implementation) batch

// compare makes a row of the original, the port and the worker's request.
func (w *worker) compare(id, name string, mounts, slow, fast int, run pair, request string) row {
	r := row{id: id, name: name, mounts: mounts, per: 1, contestants: []contestant{
		{name: "original", count: slow, run: run(original)},
		{name: "port", count: fast, run: run(port)},
	}}
	if request != "" {
		r.contestants = append(r.contestants, contestant{name: "bare", count: fast, run: w.batch(request), ask: request})
	}
	return r
}

var mounters = []struct {
	id, name string
	new      func() mount.Interface
	slow     int
}{
	{"real", "mount-utils' mounter", newRealMounter, 3},
	{"native", "a native mounter in Go", newBareMounter, 10},
	{"fake", "FakeMounter", newFakeMounter, 10},
}

var cleanTargets = map[int]string{1: "1.2 × bare", 10: "1.2 × bare", 100: "below bare"}

var sizes = []int{100, 1000, 10000}

// workers are the Rust halves: the one that has every system call, and those that do without some.
type workers map[string]*worker

// fromRust makes a row of the port called from Rust, with every fallback.
func (all workers) fromRust(id, name string, mounts, count int, request, bare, target string) row {
	r := row{id: "rust-" + id, name: name, mounts: mounts, per: 1, counted: mounts < 1000, target: target}
	for _, f := range fallbacks {
		times := count
		if strings.HasPrefix(request, "port-is-mount-point") && strings.Contains(f.without, "statx") {
			times = max(1, count/mounts) // it reads the table then
		}
		r.contestants = append(r.contestants, contestant{name: f.column, count: times, run: all[f.without].batch(request), ask: request, without: f.without})
	}
	r.contestants = append(r.contestants, contestant{name: "bare", count: count, run: all[""].batch(bare), ask: bare})
	return r
}

func rows(s *site, ws workers) ([]row, error) {
	var all []row
	w := ws[""]
	add := func(r row, counted bool, target string) {
		r.counted, r.target = counted, target
		all = append(all, r)
	}
	at := func(request string) string { return request + " " + s.root }

	for _, size := range sizes {
		for _, m := range mounters {
			for _, source := range []string{"dir", "file"} {
				request, target := at("cycle")+" "+source, map[string]string{"real": "45×; 1.2 × bare", "native": "1.7×", "fake": "1.3×"}[m.id]
				if m.id == "fake" {
					request = ""
				}
				if size != 100 && (m.id == "fake" || m.id == "native" && source == "file") {
					continue
				}
				add(w.compare("cycle-"+m.id+"-"+source+"-"+fmt.Sprint(size), "prepare + clean, "+map[string]string{"dir": "directory", "file": "file"}[source]+", "+m.name,
					size, m.slow, 10, func(i implementation) batch { return s.cycle(i, m.new, source) }, request), size == 100, target)
			}
		}
		add(w.compare(fmt.Sprint("mounted-", size), "prepare when already mounted", size, 30, 100,
			func(i implementation) batch { return s.mounted(i, newRealMounter) }, at("mounted")), size == 100, "5×")
		for _, n := range []int{1, 10, 100} {
			slow := 1
			if n == 1 {
				slow = 3
			}
			add(w.compare(fmt.Sprintf("clean-%d-%d", n, size), fmt.Sprintf("clean %d sub paths", n), size, slow, max(1, 20/n),
				func(i implementation) batch { return s.cleanMany(i, newRealMounter, n) }, at("clean")+" "+fmt.Sprint(n)), size == 100,
				cleanTargets[n])
		}
		threads := w.compare(fmt.Sprint("threads-", size), "prepare + clean by 8 goroutines at once", size, 2, 10,
			func(i implementation) batch { return s.threads(i, newRealMounter, 8) }, at("threads")+" 8")
		threads.per = 8
		add(threads, false, "")
		point := filepath.Join(s.root, "volume")
		add(row{id: fmt.Sprint("point-", size), name: "IsMountPoint", mounts: size, per: 1, contestants: []contestant{
			{name: "original", count: 300, run: looks(newRealMounter().IsMountPoint, point)},
			{name: "port", count: 300, run: looks(rustsubpath.IsMountPoint, point)},
			{name: "bare", count: 300, run: w.batch("is-mount-point x " + point), ask: "is-mount-point x " + point},
		}}, size == 100, "")
		all = append(all, oneRecord(s, size))
		if size == 1000 {
			continue
		}
		bareCycle := func(source string) string { return at("cycle") + " " + source }
		all = append(all, ws.fromRust(fmt.Sprint("cycle-dir-", size), "prepare + clean, directory", size, 10, at("port-cycle")+" dir", bareCycle("dir"), "1.2 × bare"),
			ws.fromRust(fmt.Sprint("point-", size), "is_mount_point", size, 300, "port-is-mount-point x "+point, "is-mount-point x "+point, "< 1 µs"))
		if size == 100 {
			all = append(all, ws.fromRust("cycle-file", "prepare + clean, file", size, 10, at("port-cycle")+" file", bareCycle("file"), "1.2 × bare"),
				ws.fromRust("mounted", "prepare when already mounted", size, 100, at("port-mounted"), at("mounted"), ""))
			for _, n := range []int{1, 10, 100} {
				ask := fmt.Sprint(at("clean"), " ", n)
				all = append(all, ws.fromRust(fmt.Sprint("clean-", n), fmt.Sprintf("clean %d sub paths", n), size, max(1, 20/n), "port-"+ask, ask, cleanTargets[n]))
			}
			for _, levels := range []int{0, 1, 3} {
				ask := fmt.Sprint(at("mkdir"), " ", levels)
				all = append(all, ws.fromRust(fmt.Sprint("mkdir-", levels), fmt.Sprintf("safe_make_dir, %d new levels", levels), size, 30, "port-"+ask, ask, ""))
			}
		}
	}
	for _, n := range []int{30, 100} {
		add(w.compare(fmt.Sprint("pod-", n), fmt.Sprintf("a pod with %d sub paths, prepare all + clean", n), 1000, 1, 2,
			func(i implementation) batch { return s.wholePod(i, newRealMounter, n) }, at("pod")+" "+fmt.Sprint(n)), true, "")
	}
	for _, m := range mountings {
		r, err := w.mounting(s, m)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	for _, d := range []struct {
		levels, count int
		name, target  string
	}{
		{0, 100, "SafeMakeDir, existing", "1.2×"}, {1, 30, "SafeMakeDir, one level", "2.5×"},
		{3, 30, "SafeMakeDir, three levels", "1.8×"}, {500, 1, "SafeMakeDir, 500 levels", "linear"},
		{2000, 1, "SafeMakeDir, 2,000 levels", "linear"},
	} {
		add(w.compare(fmt.Sprint("mkdir-", d.levels), d.name, 0, d.count, d.count,
			func(i implementation) batch { return s.makeDirs(i, d.levels) }, at("mkdir")+" "+fmt.Sprint(d.levels)), d.levels < 500, d.target)
	}
	for _, lines := range []int{100, 1000, 10000, 100000} {
		file, point, err := table(s.root, lines)
		if err != nil {
			return nil, err
		}
		count := max(1, 10000/lines)
		readers := func(point, request string) []contestant {
			found := []contestant{{name: "original", count: count, run: kubernetes(file, point)}, {name: "moby", count: count, run: moby(file, point)}}
			for _, reader := range []string{"procfs", "port", "bare"} {
				found = append(found, contestant{name: reader, count: count, run: w.batch(request + reader), ask: request + reader})
			}
			return found
		}
		all = append(all,
			row{id: fmt.Sprint("look-up-", lines), name: "look one mount point up", mounts: lines, per: 1, target: "20×",
				contestants: readers(point, fmt.Sprintf("look-up x %s %s ", file, point))},
			row{id: fmt.Sprint("parse-", lines), name: "parse the whole table", mounts: lines, per: 1, target: "1×",
				contestants: readers("", fmt.Sprintf("parse x %s ", file))})
	}
	return all, nil
}
