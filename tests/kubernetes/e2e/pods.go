// The pods: what each mounts, and what has to be seen of it from the host and from the container.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// plan is a pod. In its spec RUN stands for the image and an idle command, IMAGE for the image
// alone, HOST for a folder of the pod's own on the host.
type plan struct {
	name  string // of the pod
	title string
	spec  string
	// layOut fills the folder on the host before the pod starts.
	layOut func(host string) error
	// refused pods never start their container; the others run.
	refused string
	// restart has the container end and start again; before that it runs between.
	restart bool
	between func(host string) error
	// whileDown deletes the pod while no kubelet runs.
	whileDown bool
	// check is made when the pod runs, after a restart of its container, and of the kubelet.
	check func(t *trial)
	// left is checked on the host's folder when the pod is gone.
	left func(t *trial)
}

// one is the spec of a pod whose only container has these mounts of its only volume.
func one(mounts, volume string) string {
	return `
  containers: [{name: main, RUN, volumeMounts: [` + mounts + `]}]
  volumes: [{name: data, ` + volume + `}]`
}

const (
	emptyDir = "emptyDir: {}"
	memory   = "emptyDir: {medium: Memory}"
	hostPath = "hostPath: {path: HOST}"
)

var plans = []plan{
	{
		name:  "emptydir",
		title: "emptyDir, a directory that is missing",
		spec:  one(`{name: data, mountPath: /mnt, subPath: logs/web}`, emptyDir),
		check: func(t *trial) {
			t.inside("main", "echo from the container >/mnt/file", "")
			t.file(t.volume("empty-dir", "data")+"/logs/web/file", "from the container\n")
			t.mode(t.volume("empty-dir", "data")+"/logs", 0o777)
			t.mode(t.volume("empty-dir", "data")+"/logs/web", 0o777)
		},
	},
	{
		name:  "memory",
		title: "emptyDir in memory",
		spec:  one(`{name: data, mountPath: /mnt, subPath: a/b}`, memory),
		check: func(t *trial) {
			t.inside("main", "echo from the container >/mnt/file && stat -f -c %T /mnt", "tmpfs")
			t.file(t.volume("empty-dir", "data")+"/a/b/file", "from the container\n")
		},
	},
	{
		name:  "fsgroup",
		title: "emptyDir with fsGroup, container not root",
		spec: `
  securityContext: {fsGroup: 2345, runAsUser: 1000, runAsGroup: 1000}
  containers: [{name: main, RUN, volumeMounts: [{name: data, mountPath: /mnt, subPath: a/b}]}]
  volumes: [{name: data, emptyDir: {}}]`,
		check: func(t *trial) {
			t.inside("main", "touch /mnt/file && stat -c '%u %g' /mnt/file", "1000 2345")
			t.mode(t.volume("empty-dir", "data")+"/a/b", 0o777|os.ModeSetgid)
		},
	},
	{
		name:   "hostpath",
		title:  "hostPath, a directory",
		spec:   one(`{name: data, mountPath: /mnt, subPath: site}`, hostPath),
		layOut: files("site/index.html", "hello\n", "secret", "not for the container\n"),
		check: func(t *trial) {
			t.inside("main", "cat /mnt/index.html; ls -A /mnt", "hello\nindex.html")
			t.host("site/later", "made later\n")
			t.inside("main", "cat /mnt/later && rm /mnt/later", "made later")
		},
		left: func(t *trial) { t.file(t.hostFolder()+"/site/index.html", "hello\n") },
	},
	{
		name:   "file",
		title:  "a file",
		spec:   one(`{name: data, mountPath: /etc/app.conf, subPath: conf/app.conf}`, hostPath),
		layOut: files("conf/app.conf", "one\n"),
		check: func(t *trial) {
			t.inside("main", "cat /etc/app.conf && stat -c %F /etc/app.conf", "one\nregular file")
		},
		left: func(t *trial) { t.file(t.hostFolder()+"/conf/app.conf", "one\n") },
	},
	{
		name:  "downward",
		title: "a file of a downwardAPI volume, by ..data",
		spec: `
  containers: [{name: main, RUN, volumeMounts: [{name: info, mountPath: /etc/labels, subPath: labels}]}]
  volumes: [{name: info, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}]`,
		check: func(t *trial) { t.inside("main", "cat /etc/labels", `e2e="downward"`) },
	},
	{
		// In the place of a Secret and of a projected token, which an API server keeps: a static pod may
		// not ask for them, and without an API server no projected volume is mounted. The kubelet mounts
		// this volume as it mounts those, by an emptyDir in memory.
		name:  "downward-volume",
		title: "a downwardAPI volume with fsGroup, whole",
		spec: `
  securityContext: {fsGroup: 2345, runAsUser: 1000, runAsGroup: 1000}
  containers: [{name: main, RUN, volumeMounts: [{name: info, mountPath: /info, readOnly: true}]}]
  volumes: [{name: info, downwardAPI: {defaultMode: 0440, items: [{path: a/name, fieldRef: {fieldPath: metadata.name}}]}}]`,
		restart: true,
		check: func(t *trial) {
			t.inside("main", "cat /info/a/name && stat -L -c ' %a %g' /info/a/name && stat -f -c %T /info", "downward-volume-e2e 440 2345\ntmpfs")
		},
	},
	{
		name:  "memory-sized",
		title: "emptyDir in memory with a size, whole, two containers",
		spec: `
  containers:
  - {name: one, RUN, volumeMounts: [{name: data, mountPath: /mnt}]}
  - {name: two, RUN, volumeMounts: [{name: data, mountPath: /mnt, readOnly: true}]}
  volumes: [{name: data, emptyDir: {medium: Memory, sizeLimit: 1Mi}}]`,
		check: func(t *trial) {
			t.inside("one", "echo from one >/mnt/file && stat -f -c '%T %b %S' /mnt", "tmpfs 256 4096")
			t.inside("two", "cat /mnt/file", "from one")
		},
	},
	{
		name:   "nested",
		title:  "nested, with blanks and letters beyond ASCII",
		spec:   one(`{name: data, mountPath: /mnt, subPath: "a/b b/données/d/e/f/g/h"}`, hostPath),
		layOut: files("a/b b/file", "theirs\n"),
		check: func(t *trial) {
			t.inside("main", "echo deep >/mnt/file", "")
			t.file(t.hostFolder()+"/a/b b/données/d/e/f/g/h/file", "deep\n")
		},
		left: func(t *trial) {
			t.file(t.hostFolder()+"/a/b b/données/d/e/f/g/h/file", "deep\n")
			t.file(t.hostFolder()+"/a/b b/file", "theirs\n")
		},
	},
	{
		name:  "expr",
		title: "subPathExpr",
		spec: `
  containers:
  - {name: main, RUN, env: [{name: POD, valueFrom: {fieldRef: {fieldPath: metadata.name}}}], volumeMounts: [{name: data, mountPath: /mnt, subPathExpr: "$(POD)/logs"}]}
  volumes: [{name: data, emptyDir: {}}]`,
		check: func(t *trial) {
			t.inside("main", "echo mine >/mnt/file", "")
			t.file(t.volume("empty-dir", "data")+"/expr-e2e/logs/file", "mine\n")
		},
	},
	{
		name:  "read-only",
		title: "readOnly, beside a writable mount of the same",
		spec: `
  containers:
  - {name: main, RUN, volumeMounts: [{name: data, mountPath: /ro, subPath: dir, readOnly: true}, {name: data, mountPath: /rw, subPath: dir}]}
  volumes: [{name: data, emptyDir: {}}]`,
		check: func(t *trial) {
			t.inside("main", "echo a >/rw/file && cat /ro/file", "a")
			t.inside("main", "echo b 2>&1 >/ro/file || cat /ro/file", "/bin/sh: can't create /ro/file: Read-only file system\na")
		},
	},
	{
		name:  "flags",
		title: "a volume mounted ro,nosuid,nodev,noexec,nosymfollow",
		spec:  one(`{name: data, mountPath: /mnt, subPath: dir}`, `hostPath: {path: HOST/volume}`),
		layOut: func(host string) error {
			if err := files("volume/dir/file", "theirs\n")(host); err != nil {
				return err
			}
			const noSymfollow = 0x100 // MS_NOSYMFOLLOW, Linux 5.10
			flags := uintptr(syscall.MS_RDONLY | syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC | noSymfollow)
			if err := syscall.Mount(host+"/volume", host+"/volume", "", syscall.MS_BIND, ""); err != nil {
				return err
			}
			return syscall.Mount("", host+"/volume", "", syscall.MS_REMOUNT|syscall.MS_BIND|flags, "")
		},
		check: func(t *trial) {
			t.inside("main", "cat /mnt/file", "theirs")
			if !t.at.runsMount {
				// What mount-utils leaves of them depends on its version.
				t.flags("ro", "nosuid", "nodev", "noexec", "nosymfollow")
			}
		},
		left: func(t *trial) {
			if err := syscall.Unmount(t.hostFolder()+"/volume", syscall.MNT_DETACH); err != nil {
				t.fail("%v", err)
			}
			t.file(t.hostFolder()+"/volume/dir/file", "theirs\n")
		},
	},
	{
		name:  "link-inside",
		title: "a symlink inside of the volume",
		spec:  one(`{name: data, mountPath: /mnt, subPath: current/www}`, hostPath),
		layOut: func(host string) error {
			if err := files("releases/1/www/page", "1\n", "releases/2/www/page", "2\n")(host); err != nil {
				return err
			}
			return os.Symlink("releases/2", host+"/current")
		},
		check: func(t *trial) { t.inside("main", "cat /mnt/page", "2") },
		left:  func(t *trial) { t.file(t.hostFolder()+"/releases/2/www/page", "2\n") },
	},
	{
		name:    "link-outside",
		title:   "a symlink out of the volume is refused",
		spec:    one(`{name: data, mountPath: /mnt, subPath: link}`, `hostPath: {path: HOST/volume}`),
		layOut:  linkOutside,
		refused: `failed to prepare subPath for volumeMount "data" of container "main"`,
		left:    func(t *trial) { t.file(t.hostFolder()+"/outside/secret", "secret\n") },
	},
	{
		name:    "link-outside-missing",
		title:   "nothing is made behind a symlink out of the volume",
		spec:    one(`{name: data, mountPath: /mnt, subPath: link/new}`, `hostPath: {path: HOST/volume}`),
		layOut:  linkOutside,
		refused: `failed to create subPath directory for volumeMount "data" of container "main"`,
		left: func(t *trial) {
			if _, err := os.Lstat(t.hostFolder() + "/outside/new"); err == nil {
				t.fail("outside/new was made")
			}
		},
	},
	{
		name:    "restart",
		title:   "the container restarts",
		spec:    one(`{name: data, mountPath: /mnt, subPath: state}`, emptyDir),
		restart: true,
		check: func(t *trial) {
			t.inside("main", "echo $((0$(cat /mnt/seen 2>/dev/null) + 1)) >/mnt/seen && cat /mnt/seen", fmt.Sprint(t.round))
		},
	},
	{
		name:    "restart-replaced",
		title:   "the file is replaced, then the container restarts",
		spec:    one(`{name: data, mountPath: /etc/app.conf, subPath: app.conf}`, hostPath),
		layOut:  files("app.conf", "1\n"),
		restart: true,
		between: func(host string) error {
			if err := files("app.conf.new", "2\n")(host); err != nil {
				return err
			}
			return os.Rename(host+"/app.conf.new", host+"/app.conf")
		},
		check: func(t *trial) {
			want := "2"
			if t.round == 1 {
				want = "1"
			}
			t.inside("main", "cat /etc/app.conf", want)
		},
		left: func(t *trial) { t.file(t.hostFolder()+"/app.conf", "2\n") },
	},
	{
		name:  "two-containers",
		title: "two containers share a directory, and each has one",
		spec: `
  containers:
  - {name: one, RUN, volumeMounts: [{name: data, mountPath: /shared, subPath: shared}, {name: data, mountPath: /own, subPath: one}]}
  - {name: two, RUN, volumeMounts: [{name: data, mountPath: /shared, subPath: shared}, {name: data, mountPath: /own, subPath: two}]}
  volumes: [{name: data, emptyDir: {}}]`,
		restart: true,
		check: func(t *trial) {
			t.inside("one", "echo from one | tee /shared/file >/own/file", "")
			t.inside("two", "cat /shared/file && ls -A /own", "from one")
		},
	},
	{
		name:  "init-container",
		title: "an init container writes, the container reads",
		spec: `
  initContainers:
  - {name: init, IMAGE, command: [/bin/sh, -c, "echo from init >>/mnt/file"], volumeMounts: [{name: data, mountPath: /mnt, subPath: a/b}]}
  containers: [{name: main, RUN, volumeMounts: [{name: data, mountPath: /mnt, subPath: a}]}]
  volumes: [{name: data, emptyDir: {}}]`,
		check: func(t *trial) { t.inside("main", "cat /mnt/b/file", "from init") },
	},
	{
		name:  "thirty",
		title: "30 sub paths",
		spec:  one(mounts(30), emptyDir),
		check: func(t *trial) {
			t.inside("main", "for i in $(seq 0 29); do echo $i >/mnt/$i/file; done; grep -c /mnt/ /proc/self/mounts", "30")
			for i := 0; i < 30; i++ {
				t.file(fmt.Sprintf("%s/sub/%d/file", t.volume("empty-dir", "data"), i), fmt.Sprintln(i))
			}
		},
	},
	{
		// Of an emptyDir: after a restart no kubelet finds the hostPath volumes of deleted pods
		// again, which have no directory of their own below pods/, so it never cleans their sub paths.
		name:  "gone-while-down",
		title: "deleted while no kubelet runs",
		spec: `
  initContainers:
  - {name: init, IMAGE, command: [/bin/sh, -c, "echo mine >/mnt/file"], volumeMounts: [{name: data, mountPath: /mnt}]}
  containers: [{name: main, RUN, volumeMounts: [{name: data, mountPath: /mnt, subPath: dir}, {name: data, mountPath: /file, subPath: file}]}]
  volumes: [{name: data, emptyDir: {}}]`,
		whileDown: true,
		check:     func(t *trial) { t.inside("main", "ls -A /mnt && cat /file", "mine") },
	},
}

// mounts are this many volume mounts of sub paths.
func mounts(count int) string {
	var list []string
	for i := 0; i < count; i++ {
		list = append(list, fmt.Sprintf("{name: data, mountPath: /mnt/%d, subPath: sub/%d}", i, i))
	}
	return strings.Join(list, ", ")
}

// manifest is the spec as the kubelet gets it.
func (p plan) manifest(host string) string {
	spec := strings.ReplaceAll(p.spec, "RUN", fmt.Sprintf("IMAGE, command: [/bin/sh, -c, %q]", idle))
	return strings.NewReplacer("IMAGE", "image: "+image+", imagePullPolicy: Never", "HOST", host).Replace(spec)
}

// linkOutside lays out a volume with a symlink that leads out of it.
func linkOutside(host string) error {
	if err := files("outside/secret", "secret\n", "volume/file", "theirs\n")(host); err != nil {
		return err
	}
	return os.Symlink("../outside", host+"/volume/link")
}

// files makes files of names and contents, with the directories above them.
func files(pairs ...string) func(string) error {
	return func(host string) error {
		for i := 0; i < len(pairs); i += 2 {
			file := filepath.Join(host, pairs[i])
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				return err
			}
			if err := os.WriteFile(file, []byte(pairs[i+1]), 0o644); err != nil {
				return err
			}
		}
		return nil
	}
}
