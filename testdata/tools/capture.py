#!/usr/bin/env python3
"""Captures mount tables: makes mounts in private mount namespaces and writes down what the kernel
prints of them, and what it says otherwise.

    sudo testdata/tools/capture.py [--to DIRECTORY] [NAME ...]

For each scenario NAME.mountinfo is the table, and NAME.json holds
- the records, read by expect.py and compared here with statmount(2) where the kernel has it (6.8);
- lookups: on which mount the kernel finds each path of interest;
- references: where else the scenario mounted the same directory or file.
Each scenario runs in a root of its own, so that nothing of this machine is in its table.
"""

import os
import pickle
import subprocess
import sys
import tempfile

import expect
import kernel as k
import scenes

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mountinfo")


class Scene:
    """What a scenario makes, and what it knows of it."""

    def __init__(self, name, devices):
        self.name = name
        self.devices = devices
        self.captured = {}
        self.leave = lambda: None
        self.paths = [b"/", b"/proc", b"/not-there"]
        self.references = []
        self.kept = []

    def dir(self, path):
        os.makedirs(path, exist_ok=True)
        return path

    def file(self, path):
        self.dir(os.path.dirname(path) or b"/")
        open(path, "wb").close()
        return path

    def mount(self, source, target, fs_type, flags=0, data=None):
        k.mount(source, self.dir(target), fs_type, flags, data)
        self.look_at(target)
        return target

    def look_at(self, mount_point):
        """Looks the mount point up, what lies on it, and what it lies on."""
        self.paths += [mount_point, mount_point + b"/below", os.path.dirname(mount_point)]
        try:
            os.mkdir(mount_point + b"/below")
        except OSError:
            pass  # read-only, there already, or a file

    def tmpfs(self, target, source=b"tmpfs", flags=0, data=None):
        return self.mount(source, target, b"tmpfs", flags, data)

    def bind(self, source, target, recursive=False):
        if os.path.isdir(source):
            self.dir(target)
        else:
            self.file(target)
        k.mount(source, target, None, k.MS_BIND | (k.MS_REC if recursive else 0))
        self.look_at(target)
        return target

    def refer(self, source, *mount_points):
        """Says where else `source` is mounted."""
        self.references.append((source, mount_points))

    def save(self, suffix=""):
        """Captures the table as it is now."""
        name = self.name + suffix
        self.captured[name] = capture(self, name)


def enter_root():
    """A mount namespace whose root is an empty tmpfs, with /proc and the devices of the old one."""
    k.unshare(k.CLONE_NEWNS)
    k.mount(None, b"/", None, k.MS_REC | k.MS_PRIVATE)
    new = os.fsencode(tempfile.mkdtemp())
    k.mount(b"fixture", new, b"tmpfs")
    os.makedirs(new + b"/proc")
    os.makedirs(new + b"/old")
    k.pivot_root(new, new + b"/old")
    os.chdir(b"/")
    k.mount(b"proc", b"/proc", b"proc", k.MS_NOSUID | k.MS_NODEV | k.MS_NOEXEC)
    os.makedirs(b"/dev")
    for device in [b"fuse", b"null"] + [b"loop%d" % n for n in range(8)]:
        if os.path.exists(b"/old/dev/" + device):
            os.mknod(b"/dev/" + device, os.stat(b"/old/dev/" + device).st_mode,
                     os.stat(b"/old/dev/" + device).st_rdev)
    k.unmount(b"/old", k.MNT_DETACH)
    os.rmdir(b"/old")


def capture(scene, name):
    """Writes the table as it is now, checked against what the kernel says otherwise."""
    with open("/proc/thread-self/mountinfo", "rb") as table:
        text = table.read()
    records = expect.records(text)
    check_by_statmount(name, records)
    expected = {"records": records, "lookups": []}
    for path in sorted(set(scene.paths)):
        try:
            mount = k.mount_id(path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            print(f"{name}: {path!r} not looked up: {error}")
            continue
        parent = None if path == b"/" else k.mount_id(os.path.dirname(path))
        known = any(record["id"] == mount for record in records)
        expected["lookups"].append({
            "path": expect.plain(path),
            "mount": mount if known else None,  # its root mount may lie outside of a chroot
            "mount_point": known and mount != parent,
        })
    order = [expect.raw(record["mount_point"]) for record in records]
    if scene.references:
        expected["references"] = [
            {
                "source": expect.plain(source),
                "mount_points": [expect.plain(p) for p in sorted(points, key=order.index)],
            }
            for source, points in scene.references
        ]
    return text, expected


def check_by_statmount(name, records):
    """Compares with the kernel's own decoding: nothing of the text is trusted twice."""
    try:
        mounts = k.statmounts()
    except OSError as error:
        print(f"{name}: not compared with statmount(2), which came with Linux 6.8: {error}", flush=True)
        return
    compared = 0
    for record in records:
        mount = mounts.get(record["id"])
        if mount is None:
            continue  # a chroot shows less than the namespace has, and other paths
        flat = {**record, **record["propagation"]}
        for key, value in mount.items():
            wanted = value
            if key == "root" and record["deleted"]:
                wanted = value.removesuffix(b"//deleted") + b"//deleted"
            if isinstance(value, bytes):
                wanted = expect.plain(wanted)
            elif value is None and key == "source":
                continue
            if key == "propagate_from" and value == mount["master"]:
                continue  # printed only where it differs
            if key == "source" and flat[key] in ("", "none"):
                continue  # statmount(2) has no field for either
            assert flat[key] == wanted, f"{name}: {key} of {record}: the kernel says {value!r}"
        compared += 1
    assert compared, f"{name}: nothing compared"


def make_image(fs_type, directory):
    image = os.path.join(directory, fs_type)
    with open(image, "wb") as file:
        file.truncate(320 << 20 if fs_type == "xfs" else 128 << 20)
    subprocess.run([f"mkfs.{fs_type}", "-q", image], check=True)
    attach = ["losetup", "--find", "--show", image]
    return subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()


def run(name, directory):
    """Runs a scenario in a child process, and gives what that captured."""
    function, images = scenes.SCENARIOS[name]
    devices = [make_image(image, directory) for image in images]
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        scene = Scene(name, [os.fsencode(device) for device in devices])
        enter_root()
        try:
            function(scene)
            scene.save("-after" if scene.captured else "")
        finally:
            scene.leave()
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(scene.captured, pipe)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        captured = pipe.read()
    _, status = os.waitpid(child, 0)
    for device in devices:
        subprocess.run(["losetup", "--detach", device], check=True)
    if status:
        sys.exit(f"{name}: failed")
    return pickle.loads(captured)


def main():
    names, to = sys.argv[1:], OUT
    if names[:1] == ["--to"]:
        to, names = names[1], names[2:]
    for name in names or scenes.SCENARIOS:
        with tempfile.TemporaryDirectory() as directory:
            for saved, (text, expected) in run(name, directory).items():
                path = os.path.join(to, saved)
                with open(path + ".mountinfo", "wb") as table:
                    table.write(text)
                expect.write(path + ".json", expected)
                counts = [len(expected[key]) for key in ("records", "lookups")]
                print(f"{saved}: {counts[0]} records, {counts[1]} lookups")


if __name__ == "__main__":
    main()
