// The port at work, in a few seconds: a volume whose owner is not to be trusted, a pod that mounts
// parts of it, an attacker who swaps them for symlinks, and nothing left at the end. Every call goes
// through the Go package and the static library to the kernel. Run it by "make demo".
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/mount-utils"
	"rustsubpath"
)

func main() {
	enter()
	root, err := os.MkdirTemp("", "rustsubpath-demo-")
	check(err)
	root, err = filepath.EvalSymlinks(root)
	check(err)
	d := demo{
		root:      root,
		volume:    filepath.Join(root, "volume"),
		pod:       filepath.Join(root, "pod"),
		outside:   filepath.Join(root, "outside"),
		subpather: rustsubpath.New(mount.New(""), rustsubpath.ProfileV137),
	}
	defer os.RemoveAll(root)

	say("Library", "%s", rustsubpath.Info())
	say("Root", "%s (written ~ below); mounts in a namespace of its own, as uid %d there", root, os.Getuid())
	d.layOut()
	d.prepare()
	d.attackAtRest()
	d.attackInMotion()
	d.clean()
	fmt.Println("\nAll of it went as it must.")
}

type demo struct {
	root, volume, pod, outside string
	subpather                  *rustsubpath.Subpather
}

// short writes the demo's directory as ~.
func (d *demo) short(text string) string {
	return strings.ReplaceAll(text, d.root, "~")
}

// subpath is the request of container web for a path in the volume.
func (d *demo) subpath(index int, path string) rustsubpath.Subpath {
	return rustsubpath.Subpath{
		VolumeMountIndex: index,
		Path:             filepath.Join(d.volume, path),
		VolumeName:       "data",
		VolumePath:       d.volume,
		PodDir:           d.pod,
		ContainerName:    "web",
	}
}

func (d *demo) layOut() {
	title("A volume, a pod, and a secret that is none of the pod's business")
	d.write("volume/site/index.html", "<h1>the site</h1>")
	d.write("volume/config/app.conf", "colour = green")
	d.write("outside/index.html", "the node's secret")
	check(os.Mkdir(d.pod, 0o750))
	say("volume", "~/volume with site/index.html and config/app.conf; its owner may change it at any moment")
	say("pod", "~/pod, where the kubelet keeps what belongs to the pod")
	say("secret", "~/outside/index.html")
}

func (d *demo) prepare() {
	title("The pod wants a directory that is missing, a directory, and a file of the volume")
	check(d.subpather.SafeMakeDir("logs/web", d.volume, 0o770|os.ModeSetgid))
	info, err := os.Stat(filepath.Join(d.volume, "logs/web"))
	check(err)
	say("SafeMakeDir", "logs/web made with mode %v", info.Mode())
	for index, path := range []string{"logs/web", "site", "config/app.conf"} {
		at, _, err := d.subpather.PrepareSafeSubpath(d.subpath(index, path))
		check(err)
		say("Prepare", "%s is bound to %s", path, d.short(at))
	}
	d.showMounts(3)
	d.expect("web/1/index.html", "<h1>the site</h1>")
	d.expect("web/2", "colour = green")
}

func (d *demo) attackAtRest() {
	title("The attacker swaps a directory and a file for symlinks out of the volume")
	d.swap("site", d.outside)
	d.swap("config/app.conf", filepath.Join(d.outside, "index.html"))
	d.expect("web/1/index.html", "<h1>the site</h1>")
	d.expect("web/2", "colour = green")
	for index, path := range []string{"site", "config/app.conf"} {
		d.refused(d.subpath(10+index, path))
	}
	err := d.subpather.SafeMakeDir("site/made", d.volume, 0o755)
	if err == nil {
		fail("SafeMakeDir followed the link")
	}
	// The nil is the original's: it prints an error where it means the base.
	say("refused", "SafeMakeDir site/made: %s", strings.TrimSuffix(d.short(err.Error()), " %!s(<nil>)"))
	if _, err := os.Lstat(filepath.Join(d.outside, "made")); !os.IsNotExist(err) {
		fail("something was made outside of the volume")
	}
	d.showMounts(3)
}

// attackInMotion exchanges a directory and a symlink over and over while the sub path is prepared.
func (d *demo) attackInMotion() {
	const tries = 500
	title("The attacker exchanges a directory and a symlink without pause, while it is prepared %d times", tries)
	d.write("volume/race/index.html", "<h1>the race</h1>")
	race, link := filepath.Join(d.volume, "race"), filepath.Join(d.volume, "race.link")
	check(os.Symlink(d.outside, link))
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		exchanges := 0
		for {
			select {
			case <-stop:
				stopped <- exchanges
				return
			default:
				if unix.Renameat2(unix.AT_FDCWD, race, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE) == nil {
					exchanges++
				}
			}
		}
	}()
	bound, refused := 0, 0
	for i := 0; i < tries; i++ {
		request := d.subpath(20+i, "race")
		request.ContainerName = "race"
		at, _, err := d.subpather.PrepareSafeSubpath(request)
		if err != nil {
			refused++
			continue
		}
		bound++
		if content, err := os.ReadFile(filepath.Join(at, "index.html")); err != nil || string(content) != "<h1>the race</h1>" {
			fail("%s shows %q, %v", at, content, err)
		}
	}
	close(stop)
	exchanges := <-stopped
	say("race", "%d exchanges: %d times the real directory was bound, %d times refused, never the secret", exchanges, bound, refused)
}

func (d *demo) clean() {
	title("The pod ends")
	check(d.subpather.CleanSubPaths(d.pod, "data"))
	say("Clean", "CleanSubPaths(~/pod, data)")
	d.showMounts(0)
	left, err := os.ReadDir(d.pod)
	check(err)
	if len(left) > 0 {
		fail("%s is left in the pod's directory", left[0].Name())
	}
	say("pod", "~/pod is empty")
	if content, err := os.ReadFile(filepath.Join(d.outside, "index.html")); err != nil || string(content) != "the node's secret" {
		fail("the secret was touched: %q, %v", content, err)
	}
	say("secret", "untouched")
}

// showMounts prints the kernel's own list of what is mounted below the pod's directory.
func (d *demo) showMounts(want int) {
	table, err := os.ReadFile("/proc/self/mountinfo")
	check(err)
	count := 0
	for _, line := range strings.Split(string(table), "\n") {
		fields := strings.Fields(line)
		if len(fields) > 4 && strings.HasPrefix(fields[4], d.pod+"/") {
			from := fields[3]
			if i := strings.Index(from, filepath.Base(d.root)); i >= 0 {
				from = "~" + from[i+len(filepath.Base(d.root)):]
			}
			say("mountinfo", "%s on %s", from, d.short(fields[4]))
			count++
		}
	}
	if count == 0 {
		say("mountinfo", "nothing below ~/pod")
	}
	if count != want {
		fail("%d mounts, expected %d", count, want)
	}
}

// expect reads what the container would see.
func (d *demo) expect(below, want string) {
	content, err := os.ReadFile(filepath.Join(d.pod, "volume-subpaths/data", below))
	check(err)
	if string(content) != want {
		fail("%s shows %q, expected %q", below, content, want)
	}
	say("container", "%s shows %q", below, content)
}

func (d *demo) refused(request rustsubpath.Subpath) {
	at, _, err := d.subpather.PrepareSafeSubpath(request)
	if err == nil {
		fail("%s was bound to %s", request.Path, at)
	}
	say("refused", "%s", d.short(err.Error()))
}

func (d *demo) write(path, content string) {
	path = filepath.Join(d.root, path)
	check(os.MkdirAll(filepath.Dir(path), 0o755))
	check(os.WriteFile(path, []byte(content), 0o644))
}

func (d *demo) swap(path, to string) {
	whole := filepath.Join(d.volume, path)
	check(os.Rename(whole, whole+".away"))
	check(os.Symlink(to, whole))
	say("attacker", "%s is now a symlink to %s", path, d.short(to))
}

func title(format string, args ...any) {
	fmt.Printf("\n"+format+"\n", args...)
}

func say(what, format string, args ...any) {
	fmt.Printf("  %-12s %s\n", what, fmt.Sprintf(format, args...))
}

func check(err error) {
	if err != nil {
		fail("%v", err)
	}
}

func fail(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "The demo failed: "+format+"\n", args...)
	os.Exit(1)
}
