"""The scenarios of capture.py: what is mounted before a table is captured."""

import fcntl
import os
import struct

import kernel as k

SCENARIOS = {}


def scenario(images=()):
    """Registers a scenario. `images` are the file systems that it needs on loop devices."""
    def register(function):
        SCENARIOS[function.__name__.replace("_", "-")] = (function, images)
        return function
    return register


@scenario()
def tmpfs_options(scene):
    """Every option of a mount, and those of a file system."""
    for name, flags in [
        (b"ro", k.MS_RDONLY), (b"nosuid", k.MS_NOSUID), (b"nodev", k.MS_NODEV),
        (b"noexec", k.MS_NOEXEC), (b"noatime", k.MS_NOATIME), (b"strictatime", k.MS_STRICTATIME),
        (b"nodiratime", k.MS_NODIRATIME), (b"nosymfollow", k.MS_NOSYMFOLLOW),
        (b"sync", k.MS_SYNCHRONOUS), (b"dirsync", k.MS_DIRSYNC), (b"lazytime", k.MS_LAZYTIME),
        (b"mand", k.MS_MANDLOCK),
        (b"many", k.MS_RDONLY | k.MS_NOSUID | k.MS_NODEV | k.MS_NOEXEC | k.MS_NOATIME),
    ]:
        scene.tmpfs(b"/mnt/" + name, name, flags)
    scene.tmpfs(b"/mnt/sized", b"sized", 0, b"size=1m,nr_inodes=64,mode=750,uid=1000,gid=1000")
    scene.tmpfs(b"/mnt/rw-super", b"rw-super")
    scene.bind(b"/mnt/rw-super", b"/mnt/ro-mount")
    k.mount(None, b"/mnt/ro-mount", None, k.MS_REMOUNT | k.MS_BIND | k.MS_RDONLY)
    scene.refer(b"/mnt/rw-super", b"/mnt/ro-mount")


def each_byte(prefix=b"n"):
    return [prefix + bytes([byte]) for byte in range(1, 256) if byte != ord("/")]


@scenario()
def mount_point_bytes(scene):
    """A mount point for each byte that a name can hold, and one with all of them."""
    for name in each_byte():
        scene.tmpfs(b"/mnt/" + name)
    scene.tmpfs(b"/mnt/" + bytes(b for b in range(1, 256) if b != ord("/")))


@scenario()
def root_bytes(scene):
    """The same for the root of a mount."""
    k.mount(b"roots", scene.dir(b"/src"), b"tmpfs")
    for number, name in enumerate(each_byte()):
        scene.dir(b"/src/" + name)
        k.mount(b"/src/" + name, scene.dir(b"/dst/%d" % number), None, k.MS_BIND)
        scene.paths.append(b"/dst/%d" % number)
        if number % 9 == 0:
            scene.refer(b"/src/" + name, b"/dst/%d" % number)


@scenario()
def source_bytes(scene):
    """The same for the source; here the slash too."""
    for byte in range(1, 256):
        k.mount(b"n" + bytes([byte]), scene.dir(b"/mnt/%d" % byte), b"tmpfs")
    k.mount(bytes(range(1, 256)), scene.dir(b"/mnt/all"), b"tmpfs")


@scenario()
def odd_names(scene):
    """Names that mislead: escapes that are none, marks that are none, separators, spaces."""
    for name in [b"a b", b" leading", b"trailing ", b"tab\there", b"line\nbreak", b"back\\slash",
                 b"looks\\040escaped", b"#hash", b"-", b" - ", b"x - tmpfs none rw", b"a,b", b'a"b',
                 b"carriage\rreturn", b"vt\x0bff\x0c", b"\xff\xfe", b"\xc2\xa0nbsp", b"\xc2\x85nel",
                 "größe".encode(), "日本".encode(), b"cut\xe6\x97", b"gone (deleted)", b"gone//",
                 b"...", b"shared:1", b"e\\134", b"\\", b"\\\\", b"\x7f\x1b[31m"]:
        scene.tmpfs(b"/mnt/" + name.rstrip(b"/"), name)
    scene.tmpfs(b"/mnt/a b/inner dir", b"inner")
    scene.bind(b"/mnt/a b/inner dir", b"/mnt/again of a b")
    scene.refer(b"/mnt/a b/inner dir", b"/mnt/again of a b")
    scene.dir(b"/mnt/gone (deleted)/x")
    scene.bind(b"/mnt/gone (deleted)/x", b"/mnt/bound")
    scene.refer(b"/mnt/gone (deleted)/x", b"/mnt/bound")
    scene.paths += [b"/mnt/gone", b"/mnt/gone (deleted)/x", b"/mnt/a", b"/mnt/#hash/below"]


@scenario()
def sources(scene):
    """A source that is empty, that is `none`, that is no name at all, and others."""
    scene.tmpfs(b"/mnt/empty", b"")
    scene.tmpfs(b"/mnt/none", b"none")
    k.mount_by_steps(b"tmpfs", [], scene.dir(b"/mnt/absent"))
    scene.tmpfs(b"/mnt/null", None)
    scene.tmpfs(b"/mnt/hash", b"#")
    scene.tmpfs(b"/mnt/space", b" ")
    scene.tmpfs(b"/mnt/dash", b"-")
    scene.tmpfs(b"/mnt/url", b"https://host:8443/a b?c=d#e")
    scene.bind(b"/mnt/empty", b"/mnt/empty-again")
    scene.refer(b"/mnt/empty", b"/mnt/empty-again")


@scenario()
def binds(scene):
    """Binds of directories and files: elsewhere, on themselves, of a part, over each other."""
    scene.tmpfs(b"/vol", b"vol")
    scene.dir(b"/vol/dir/sub")
    scene.file(b"/vol/dir/file")
    scene.bind(b"/vol/dir", b"/mnt/dir")
    scene.bind(b"/vol/dir/sub", b"/mnt/sub")
    scene.bind(b"/vol/dir/file", b"/mnt/file")
    scene.bind(b"/vol/dir", b"/vol/dir")  # on itself
    scene.bind(b"/vol", b"/mnt/vol", recursive=True)
    scene.dir(b"/vol/volume-subpaths")
    scene.bind(b"/vol/dir/file", b"/vol/volume-subpaths/0")  # on the same file system
    scene.refer(b"/vol/dir", b"/mnt/dir", b"/mnt/vol/dir")
    scene.refer(b"/vol/dir/sub", b"/mnt/sub")
    scene.refer(b"/mnt/dir/sub", b"/mnt/sub")
    scene.refer(b"/vol/dir/file", b"/mnt/file", b"/vol/volume-subpaths/0")
    scene.refer(b"/mnt/vol", b"/vol")
    scene.refer(b"/vol/nothing-there")


@scenario()
def deleted(scene):
    """Binds whose directory or file was deleted, and made anew under the same name."""
    scene.tmpfs(b"/vol", b"vol")
    scene.dir(b"/vol/dir")
    scene.file(b"/vol/file")
    scene.dir(b"/vol/kept (deleted)")
    scene.bind(b"/vol/dir", b"/mnt/dir")
    scene.bind(b"/vol/dir", b"/mnt/dir-again")
    scene.bind(b"/vol/file", b"/mnt/file")
    scene.bind(b"/vol/kept (deleted)", b"/mnt/kept")
    os.rmdir(b"/vol/dir/below")
    os.rmdir(b"/vol/dir")
    os.unlink(b"/vol/file")
    scene.dir(b"/vol/dir")
    scene.bind(b"/vol/dir", b"/mnt/new")
    scene.refer(b"/mnt/dir", b"/mnt/dir-again")
    scene.refer(b"/vol/dir", b"/mnt/new")
    scene.refer(b"/vol/kept (deleted)", b"/mnt/kept")


@scenario()
def stacked(scene):
    """Mounts on one mount point, and mounts that a later one hides."""
    for number in range(4):
        scene.tmpfs(b"/mnt/stack", b"level%d" % number)
    scene.tmpfs(b"/mnt/outer", b"outer")
    scene.tmpfs(b"/mnt/outer/inner", b"hidden")
    scene.tmpfs(b"/mnt/outer", b"cover")
    scene.dir(b"/mnt/outer/inner")
    scene.bind(b"/mnt/outer/inner", b"/mnt/other")
    scene.refer(b"/mnt/outer/inner", b"/mnt/other")
    scene.refer(b"/mnt/stack")
    scene.file(b"/mnt/file")
    scene.file(b"/mnt/second")
    scene.bind(b"/mnt/file", b"/mnt/file")
    scene.bind(b"/mnt/second", b"/mnt/file")


@scenario()
def covered_root(scene):
    """A mount over the process's root, which the process does not see, and one on that."""
    scene.tmpfs(b"/mnt/seen", b"seen")
    k.mount(b"over", b"/", b"tmpfs")
    scene.tmpfs(b"/late", b"late")


@scenario()
def root_line_last(scene):
    """A root mount that is newer than the mounts on it, so that its line comes last."""
    k.mount(b"first", scene.dir(b"/build"), b"tmpfs")
    k.mount(b"early", scene.dir(b"/build/early"), b"tmpfs")
    k.mount(b"data", scene.dir(b"/data"), b"tmpfs")
    k.mount(b"newroot", scene.dir(b"/newroot"), b"tmpfs")
    for name in [b"data", b"build", b"proc"]:
        k.mount(b"/" + name, scene.dir(b"/newroot/" + name), None, k.MS_MOVE)
    scene.dir(b"/newroot/old")
    k.pivot_root(b"/newroot", b"/newroot/old")
    os.chdir(b"/")
    k.unmount(b"/old", k.MNT_DETACH)
    scene.paths += [b"/data", b"/data/x", b"/build", b"/build/early", b"/old", b"/build/x"]
    scene.dir(b"/data/x")
    scene.bind(b"/data/x", b"/mnt/x")
    scene.refer(b"/data/x", b"/mnt/x")


@scenario()
def moved(scene):
    """A mount moved below one that is newer."""
    scene.tmpfs(b"/mnt/old", b"old")
    scene.dir(b"/mnt/old/sub")
    scene.tmpfs(b"/mnt/new", b"new")
    k.mount(b"/mnt/old", scene.dir(b"/mnt/new/moved"), None, k.MS_MOVE)
    scene.bind(b"/mnt/new/moved/sub", b"/mnt/sub")
    scene.paths += [b"/mnt/new/moved", b"/mnt/new/moved/sub"]
    scene.refer(b"/mnt/new/moved/sub", b"/mnt/sub")


@scenario()
def chroot_below_a_mount(scene):
    """A process whose root directory is no mount: no line has the mount point `/`."""
    scene.tmpfs(b"/jail/tmp", b"inside")
    scene.tmpfs(b"/jail/tmp/deeper", b"deeper")
    scene.tmpfs(b"/outside", b"outside")
    k.mount(b"proc", scene.dir(b"/jail/proc"), b"proc")
    os.chroot(b"/jail")
    os.chdir(b"/")
    scene.paths = [b"/", b"/tmp", b"/tmp/deeper", b"/proc", b"/proc/self"]


@scenario()
def propagation(scene):
    """Every kind of propagation, and the peer group that only a chroot does not show."""
    scene.tmpfs(b"/private", b"private")
    k.mount(None, scene.tmpfs(b"/shared", b"shared"), None, k.MS_SHARED)
    k.mount(None, scene.bind(b"/shared", b"/slave"), None, k.MS_SLAVE)
    k.mount(None, scene.bind(b"/shared", b"/both"), None, k.MS_SLAVE)
    k.mount(None, b"/both", None, k.MS_SHARED)
    k.mount(None, scene.tmpfs(b"/unbindable", b"unbindable"), None, k.MS_UNBINDABLE)
    scene.tmpfs(b"/shared/propagated", b"propagated")
    scene.paths += [b"/slave/propagated", b"/both/propagated"]
    scene.refer(b"/shared", b"/slave", b"/both")
    scene.refer(b"/shared/propagated", b"/slave/propagated", b"/both/propagated")


@scenario()
def propagate_from(scene):
    """A slave whose master lies outside of the chroot, and whose master's master inside."""
    k.mount(b"jail", scene.dir(b"/jail"), b"tmpfs")
    k.mount(b"top", scene.dir(b"/top"), b"tmpfs")
    k.mount(None, b"/top", None, k.MS_SHARED)
    k.mount(b"/top", scene.dir(b"/jail/top"), None, k.MS_BIND)
    k.mount(b"/top", scene.dir(b"/middle"), None, k.MS_BIND)
    k.mount(None, b"/middle", None, k.MS_SLAVE)
    k.mount(None, b"/middle", None, k.MS_SHARED)
    k.mount(b"/middle", scene.dir(b"/jail/bottom"), None, k.MS_BIND)
    k.mount(None, b"/jail/bottom", None, k.MS_SLAVE)
    k.mount(b"proc", scene.dir(b"/jail/proc"), b"proc")
    os.chroot(b"/jail")
    os.chdir(b"/")
    scene.paths += [b"/top", b"/bottom"]
    scene.refer(b"/top", b"/bottom")


@scenario()
def user_namespace(scene):
    """What a process of a new user namespace sees: its shared mounts became slaves."""
    k.mount(None, b"/", None, k.MS_SHARED)
    k.mount(None, scene.tmpfs(b"/mnt/shared", b"shared"), None, k.MS_SHARED)
    scene.tmpfs(b"/mnt/private", b"private")
    k.unshare(k.CLONE_NEWUSER | k.CLONE_NEWNS)
    scene.paths += [b"/mnt"]


@scenario()
def overlay_escapes(scene):
    """Overlays on directories whose names the file system escapes, and the kernel once more."""
    scene.tmpfs(b"/l", b"layers")
    for number, name in enumerate([b"plain", b"a b", b"co\\:lon", b"com\\\\,ma", b"quo\"te",
                                   b"back\\\\slash", b"\xff\xfe", b"h#ash", b"tab\t", b"new\nline"]):
        on_disk = name.replace(b"\\:", b":").replace(b"\\\\,", b",").replace(b"\\\\", b"\\")
        for part in [on_disk, b"up%d" % number, b"work%d" % number]:
            scene.dir(b"/l/" + part)
        option = name.replace(b"\\\\,", b"\\,")
        data = b"lowerdir=/l/%s:/l/plain,upperdir=/l/up%d,workdir=/l/work%d" % (
            option, number, number)
        if name == b"plain":
            data = data.replace(b":/l/plain", b"")
        scene.mount(b"overlay", b"/mnt/%d" % number, b"overlay", 0, data)


@scenario()
def long_lines(scene):
    """A line of 70 kB: an overlay of 500 layers; and a mount point of 12 kB."""
    layer = b"/" + b"l" * 120
    scene.tmpfs(layer, b"layers")
    options = [(b"source", b"overlay")]
    for number in range(500):
        options.append((b"lowerdir+", scene.dir(layer + b"/%015d" % number)))
    k.mount_by_steps(b"overlay", options, scene.dir(b"/mnt/many"))
    scene.paths += [b"/mnt/many"]
    k.mount(b"deep", scene.dir(b"/deep"), b"tmpfs")
    os.chdir(b"/deep")
    for _ in range(50):
        os.mkdir(b"d" * 240)
        os.chdir(b"d" * 240)
    k.mount(b"deepest", b".", b"tmpfs")
    os.chdir(b"/")


@scenario(images=("ext4", "xfs", "btrfs"))
def loop_devices(scene):
    """ext4, xfs and btrfs on loop devices, mounted twice, in part, and on odd names."""
    for fs_type, device in zip((b"ext4", b"xfs", b"btrfs"), scene.devices):
        at = scene.mount(device, b"/mnt/" + fs_type, fs_type)
        scene.dir(at + b"/data/sub path")
        scene.mount(device, b"/again/" + fs_type, fs_type)
        scene.bind(at + b"/data/sub path", b"/sub/" + fs_type)
        scene.refer(at, b"/again/" + fs_type)
        scene.refer(b"/again/" + fs_type + b"/data/sub path", b"/sub/" + fs_type)


@scenario(images=("btrfs",))
def btrfs_subvolumes(scene):
    """Subvolumes mounted by name, nested ones, and a bind of a directory in one."""
    device = scene.devices[0]
    scene.mount(device, b"/mnt/all", b"btrfs")
    for parent, name in [(b"", b"@"), (b"", b"@home"), (b"/@home", b"@ nested")]:
        fd = os.open(b"/mnt/all" + parent, os.O_RDONLY)
        # BTRFS_IOC_SUBVOL_CREATE
        fcntl.ioctl(fd, 0x5000940E, bytearray(struct.pack("=q4088s", 0, name)))
        os.close(fd)
    scene.mount(device, b"/mnt/@", b"btrfs", k.MS_NOATIME, b"subvol=/@,compress=zstd:3")
    scene.mount(device, b"/mnt/@home", b"btrfs", 0, b"subvol=@home")
    scene.mount(device, b"/mnt/nested", b"btrfs", 0, b"subvol=@home/@ nested")
    scene.bind(scene.dir(b"/mnt/@home/user"), b"/mnt/user")
    scene.refer(b"/mnt/all/@home", b"/mnt/@home")
    scene.refer(b"/mnt/@home/user", b"/mnt/user")
    scene.refer(b"/mnt/@home/@ nested", b"/mnt/nested")
    scene.refer(b"/mnt/@")


def fuse(scene, target, fs_type, source, options=b""):
    """A FUSE mount without a server: the mount stands as long as the descriptor is open."""
    fd = os.open(b"/dev/fuse", os.O_RDWR)
    scene.kept.append(fd)
    data = b"fd=%d,rootmode=40000,user_id=0,group_id=0%s" % (fd, options)
    k.mount(source, scene.dir(target), fs_type, k.MS_NOSUID | k.MS_NODEV, data)
    scene.paths += [target]
    return fd


@scenario()
def fuse_mounts(scene):
    """FUSE with and without subtype, one whose server is dead, a bind of one."""
    fuse(scene, b"/mnt/plain", b"fuse", b"plain")
    fuse(scene, b"/mnt/sshfs", b"fuse.sshfs", b"user@host:/srv/da ta", b",allow_other")
    fuse(scene, b"/mnt/gcs", b"fuse", b"bucket#1", b",subtype=gcsfuse,default_permissions")
    fuse(scene, b"/mnt/dots", b"fuse.a.b c", b"dots")
    os.close(fuse(scene, b"/mnt/dead", b"fuse.ceph-fuse", b"ceph-fuse"))
    # Not by scene.bind(), which would ask the file system, and nobody answers.
    k.mount(b"/mnt/sshfs", scene.dir(b"/mnt/bound"), None, k.MS_BIND)
    scene.paths += [b"/mnt/bound"]
    scene.refer(b"/mnt/sshfs", b"/mnt/bound")


@scenario()
def autofs(scene):
    """An autofs mount that waits, and one with the file system it brought mounted on it."""
    for target, kind in [(b"/mnt/waits", b"indirect"), (b"/mnt/direct", b"direct"),
                         (b"/mnt/ready", b"direct")]:
        reader, writer = os.pipe()
        os.set_inheritable(writer, True)
        scene.kept += [reader, writer]
        data = b"fd=%d,pgrp=%d,minproto=5,maxproto=5,%s" % (writer, os.getpgrp(), kind)
        k.mount(b"/etc/auto.misc", scene.dir(target), b"autofs", 0, data)
        scene.paths += [target]
    k.mount(b"brought", b"/mnt/ready", b"tmpfs")
    scene.paths += [b"/mnt/ready/below", b"/mnt"]


@scenario()
def cgroups(scene):
    """cgroup v1 and v2, seen from a cgroup namespace, which shows roots above its own as `/..`."""
    k.mount(b"tmpfs", scene.dir(b"/sys/fs/cgroup"), b"tmpfs", 0, b"mode=755")
    own = b"/sys/fs/cgroup/fixture/kubepods/pod 1"
    mounts = [  # not by scene.mount(), which makes a directory in each: a cgroup
        (b"cgroup", b"/sys/fs/cgroup/fixture", b"cgroup", k.MS_NOSUID, b"none,name=fixture"),
        (b"cgroup2", b"/sys/fs/cgroup/unified", b"cgroup2", k.MS_NOSUID, None),
        (own, b"/mnt/pod", None, k.MS_BIND, None),
        (b"cgroup", b"/mnt/inside", b"cgroup", 0, b"none,name=fixture"),
    ]

    def leave():
        with open(b"/sys/fs/cgroup/fixture/cgroup.procs", "wb") as procs:
            procs.write(b"0")
        os.rmdir(own)
        os.rmdir(os.path.dirname(own))
    scene.leave = leave

    for source, target, fs_type, flags, data in mounts:
        if source == own:
            with open(scene.dir(own) + b"/cgroup.procs", "wb") as procs:
                procs.write(b"0")
            k.unshare(k.CLONE_NEWCGROUP)
        k.mount(source, scene.dir(target), fs_type, flags, data)
        scene.paths += [target, target + b"/cgroup.procs", os.path.dirname(target)]


@scenario()
def kernel_file_systems(scene):
    """What the kernel itself offers to mount, and namespaces, whose root is no path."""
    for fs_type in [b"sysfs", b"devtmpfs", b"devpts", b"mqueue", b"ramfs", b"hugetlbfs", b"bpf",
                    b"debugfs", b"tracefs", b"securityfs", b"binfmt_misc", b"fusectl"]:
        k.mount(fs_type, scene.dir(b"/k/" + fs_type), fs_type)
        scene.paths.append(b"/k/" + fs_type)
    for namespace in [b"net", b"uts", b"ipc"]:
        scene.file(b"/run/netns/" + namespace)
        k.mount(b"/proc/self/ns/" + namespace, b"/run/netns/" + namespace, None, k.MS_BIND)
        scene.paths.append(b"/run/netns/" + namespace)
    scene.file(b"/mnt/kcore")
    scene.bind(b"/k/devtmpfs/null", b"/mnt/kcore")
    scene.bind(b"/proc/sys", b"/mnt/sys")
    k.mount(None, b"/mnt/sys", None, k.MS_REMOUNT | k.MS_BIND | k.MS_RDONLY)


@scenario()
def container(scene):
    """A container as an OCI runtime makes it: overlay root, masked and read-only parts of /proc."""
    layers = b"/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"
    for part in [b"/1/fs", b"/2/fs", b"/3/fs", b"/3/work"]:
        scene.dir(layers + part)
    rootfs = b"/run/containerd/io.containerd.runtime.v2.task/k8s.io/c1/rootfs"
    data = b"lowerdir=%s/2/fs:%s/1/fs,upperdir=%s/3/fs,workdir=%s/3/work" % ((layers,) * 4)
    k.mount(b"overlay", scene.dir(rootfs), b"overlay", 0, data)
    pod = scene.dir(b"/var/lib/kubelet/pods/9b1c/volume-subpaths/config/app/0")
    scene.file(b"/var/lib/kubelet/pods/9b1c/etc-hosts")
    k.mount(b"proc", scene.dir(rootfs + b"/proc"), b"proc", k.MS_NOSUID | k.MS_NODEV | k.MS_NOEXEC)
    k.mount(b"tmpfs", scene.dir(rootfs + b"/dev"), b"tmpfs", k.MS_NOSUID | k.MS_STRICTATIME,
            b"size=65536k,mode=755")
    k.mount(b"devpts", scene.dir(rootfs + b"/dev/pts"), b"devpts", k.MS_NOSUID | k.MS_NOEXEC,
            b"newinstance,ptmxmode=0666,mode=0620")
    k.mount(b"mqueue", scene.dir(rootfs + b"/dev/mqueue"), b"mqueue", k.MS_NOSUID)
    k.mount(pod, scene.dir(rootfs + b"/etc/app"), None, k.MS_BIND)
    k.mount(b"/var/lib/kubelet/pods/9b1c/etc-hosts", scene.file(rootfs + b"/etc/hosts"), None,
            k.MS_BIND)
    k.mount(None, rootfs, None, k.MS_REC | k.MS_PRIVATE)
    os.chdir(rootfs)
    scene.dir(b"old")
    k.pivot_root(b".", b"old")
    os.chdir(b"/")
    k.unmount(b"/old", k.MNT_DETACH)
    for path in [b"bus", b"fs", b"sys"]:
        k.mount(b"/proc/" + path, b"/proc/" + path, None, k.MS_BIND | k.MS_REC)
        k.mount(None, b"/proc/" + path, None, k.MS_REMOUNT | k.MS_BIND | k.MS_RDONLY)
    for path in [b"acpi", b"scsi"]:
        if os.path.isdir(b"/proc/" + path):
            k.mount(b"tmpfs", b"/proc/" + path, b"tmpfs", k.MS_RDONLY)
    scene.paths += [b"/etc", b"/etc/app", b"/etc/hosts", b"/proc/sys", b"/proc/self", b"/dev/pts"]


@scenario()
def id_reused(scene):
    """Two tables of one namespace: in the second the ID of the first belongs to another mount."""
    scene.tmpfs(b"/mnt/first", b"first")
    scene.save("-before")
    before = k.mount_id(b"/mnt/first")
    k.unmount(b"/mnt/first")
    scene.tmpfs(b"/mnt/second", b"second")
    assert k.mount_id(b"/mnt/second") == before, "the kernel gave another ID"
