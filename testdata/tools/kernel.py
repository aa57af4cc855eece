"""The system calls that capture.py needs and Python has not, by ctypes; x86_64 and aarch64."""

import ctypes
import os
import struct

_libc = ctypes.CDLL(None, use_errno=True)

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_SYNCHRONOUS = 1, 2, 4, 8, 16
MS_REMOUNT, MS_MANDLOCK, MS_DIRSYNC, MS_NOSYMFOLLOW = 32, 64, 128, 256
MS_NOATIME, MS_NODIRATIME, MS_BIND, MS_MOVE, MS_REC = 1024, 2048, 4096, 8192, 16384
MS_UNBINDABLE, MS_PRIVATE, MS_SLAVE, MS_SHARED = 1 << 17, 1 << 18, 1 << 19, 1 << 20
MS_STRICTATIME, MS_LAZYTIME = 1 << 24, 1 << 25
MNT_DETACH = 2
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUSER = 0x20000, 0x2000000, 0x10000000

_FSOPEN, _FSCONFIG, _FSMOUNT, _MOVE_MOUNT = 430, 431, 432, 429
_STATMOUNT, _LISTMOUNT = 457, 458
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}[os.uname().machine]


def _check(result, what):
    if result < 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{what}: {os.strerror(errno)}")
    return result


def _syscall(number, *arguments):
    longs = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _check(_libc.syscall(ctypes.c_long(number), *longs), f"system call {number}")


def mount(source, target, fs_type=None, flags=0, data=None):
    _check(_libc.mount(source, target, fs_type, ctypes.c_ulong(flags), data), f"mount {target}")


def unmount(target, flags=0):
    _check(_libc.umount2(target, flags), f"umount {target}")


def unshare(flags):
    _check(_libc.unshare(flags), "unshare")


def pivot_root(new, old):
    _syscall(_PIVOT_ROOT, new, old)


def mount_by_steps(fs_type, options, target):
    """fsopen, fsconfig for each option, fsmount: more than one page of options, or no source."""
    context = _syscall(_FSOPEN, fs_type, 0)
    for key, value in options:
        _syscall(_FSCONFIG, context, 1, key, value, 0)  # FSCONFIG_SET_STRING
    _syscall(_FSCONFIG, context, 6, None, None, 0)  # FSCONFIG_CMD_CREATE
    mounted = _syscall(_FSMOUNT, context, 0, 0)
    _syscall(_MOVE_MOUNT, mounted, b"", -100, target, 4)  # MOVE_MOUNT_F_EMPTY_PATH
    os.close(mounted)
    os.close(context)


def mount_id(path):
    """The ID of the mount on which the path lies, as the kernel's own path walk finds it."""
    fd = os.open(path, os.O_PATH | os.O_NOFOLLOW)
    try:
        with open(f"/proc/thread-self/fdinfo/{fd}") as info:
            return next(int(line.split()[1]) for line in info if line.startswith("mnt_id:"))
    finally:
        os.close(fd)


def statmounts():
    """Every mount by statmount(2), Linux 6.8: decoded by the kernel, no text in between."""
    ids = (ctypes.c_uint64 * 4096)()
    root = 0xFFFFFFFFFFFFFFFF  # LSMT_ROOT
    request = ctypes.create_string_buffer(struct.pack("=IIQQQ", 32, 0, root, 0, 0))
    count = _syscall(_LISTMOUNT, request, ids, len(ids), 0)
    mounts = {}
    for unique in ids[:count]:
        request = ctypes.create_string_buffer(struct.pack("=IIQQQ", 32, 0, unique, 0x33F, 0))
        buffer = ctypes.create_string_buffer(1 << 17)
        _syscall(_STATMOUNT, request, buffer, len(buffer), 0)
        fields = struct.unpack_from("=IIQIIQIIQQIIQQQQQIIQII", buffer.raw)
        (_, _, mask, major, minor, _, _, fs_type, _, _, id_, parent) = fields[:12]
        (_, _, peers, master, source_group, root_at, point_at, _, subtype, source) = fields[12:]

        def text(offset, buffer=buffer):
            return buffer.raw[512 + offset:].split(b"\0", 1)[0]

        kind = text(fs_type) + (b"." + text(subtype) if mask & 0x100 else b"")
        mounts[id_] = {
            "parent_id": parent, "major": major, "minor": minor,
            "root": text(root_at), "mount_point": text(point_at), "fs_type": kind,
            "source": text(source) if mask & 0x200 else None,
            "shared": peers or None, "master": master or None,
            "propagate_from": source_group or None,
        }
    return mounts
