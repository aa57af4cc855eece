#!/usr/bin/env python3
"""Writes the records that a fixture's JSON expects, read by the grammar of proc_pid_mountinfo(5).

A second reading of the format, which shares no code with the crate, so that the tests compare two
independent answers. Run it after adding a fixture, then read what it wrote:

    testdata/tools/expect.py testdata/mountinfo/NAME.mountinfo ...

What else is in the JSON (lookups, references) stays.
"""

import json
import re
import sys

LINE = re.compile(
    rb"(\d+) (\d+) (\d+):(\d+) ([^ ]+) ([^ ]+) ([^ ]+)((?: [^ ]+)*?) - ([^ ]+) ([^ ]*) (.+)", re.S
)
# name, name=value, or name="value, with commas": the quote closes where the option ends.
OPTION = re.compile(rb'([^,=]+(?:="[^\n]*?"(?=,|\Z)|=[^,]*)?)(?:,+|\Z)', re.S)


# The bytes that the kernel prints as escapes: show_mountinfo(), mangle(), seq_show_option(); and a
# quote in SELinux contexts, a colon in an overlay's lowerdir.
PATH, NAME, OPT = b" \t\n\\", b" \t\n\\#", b" \t\n\\,=:\""


def unescape(field, escaped):
    def decoded(match):
        byte = int(match[1], 8)
        return bytes([byte]) if byte in escaped else match[0]

    return re.sub(rb"\\([0-3][0-7][0-7])", decoded, field)


def plain(field):
    """Bytes as JSON: a string, or {"hex": ...} where they are not UTF-8."""
    try:
        return field.decode()
    except UnicodeDecodeError:
        return {"hex": field.hex()}


def raw(value):
    """The bytes of such a JSON value."""
    return bytes.fromhex(value["hex"]) if isinstance(value, dict) else value.encode()


def record(line):
    match = LINE.fullmatch(line)
    if match is None:
        raise ValueError(f"not a line of a mount table: {line!r}")
    numbers = [int(n) for n in match.groups()[:4]]
    root, point, options, optional, fs_type, source, super_options = match.groups()[4:]
    tags = optional.split()

    def group(tag):
        found = [t[len(tag) + 1:] for t in tags if t.startswith(tag + b":")]
        return int(found[-1]) if found and found[-1].isdigit() else None

    return {
        **dict(zip(("id", "parent_id", "major", "minor"), numbers)),
        "root": plain(unescape(root, PATH)),
        "mount_point": plain(unescape(point, PATH)),
        "mount_options": [plain(unescape(o, OPT)) for o in OPTION.findall(options)],
        "optional_fields": [plain(t) for t in tags],
        "propagation": {
            **{t: group(t.encode()) for t in ("shared", "master", "propagate_from")},
            "unbindable": b"unbindable" in tags,
        },
        "fs_type": plain(unescape(fs_type, NAME)),
        "source": plain(unescape(source, NAME)),
        "super_options": [plain(unescape(o, OPT)) for o in OPTION.findall(super_options)],
        "deleted": root.endswith(b"//deleted"),
    }


def records(text):
    return [record(line) for line in text.split(b"\n") if line]


def write(path, expected):
    """One record, lookup or reference per line."""
    parts = []
    for key, value in expected.items():
        if isinstance(value, list):
            rows = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in value)
            parts.append(f' "{key}": [\n{rows}\n ]')
        else:
            parts.append(f' "{key}": {json.dumps(value, ensure_ascii=False)}')
    with open(path, "w", encoding="utf-8") as out:
        out.write("{\n" + ",\n".join(parts) + "\n}\n")


def main():
    for fixture in sys.argv[1:]:
        path = fixture.removesuffix(".mountinfo") + ".json"
        try:
            with open(path, encoding="utf-8") as known:
                expected = json.load(known)
        except FileNotFoundError:
            expected = {}
        with open(fixture, "rb") as text:
            expected["records"] = records(text.read())
        write(path, expected)


if __name__ == "__main__":
    main()
