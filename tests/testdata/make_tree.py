"""Make a tree of everything that is hard to archive. Usage: make_tree.py FOLDER (as root)"""

import os
import socket
import stat
import struct
import sys

root = os.fsencode(sys.argv[1])
os.makedirs(root)
os.chdir(root)


def write(name, content=b"content"):
    with open(name, "wb") as file:
        file.write(content)
    return name


names = [
    b"-rf",
    b"--checkpoint-action=exec=touch executed",
    b"--exclude=*",
    b"new\nline",
    b"carriage\rreturn",
    b"back\\slash",
    b"octal\\101",
    b"escape\\n",
    b"*?[a-z]{b,c}!",
    b"\\*",
    b" spaces at both ends ",
    b"'quotes\"",
    b"$(touch executed)`touch executed`;touch executed",
    b"\x01\x1b[31m control",
    "\u00fcnic\u00f6de \u2603".encode(),
    b"\xff\xfe not UTF-8",
    b"a" * 255,
    "\u00fc".encode() * 127,
    b"...",
    b"~",
    b"@file",
]
os.mkdir("names")
for name in names:
    os.mkdir(os.path.join(b"names", b"in " + name[:250]))
    write(os.path.join(b"names", b"in " + name[:250], name))
    write(os.path.join(b"names", name), name)

os.mkdir("modes")
for mode in [0o000, 0o400, 0o644, 0o755, 0o777, 0o4755, 0o2755, 0o1777, 0o7777]:
    os.chmod(write(f"modes/file{mode:o}"), mode)
    os.mkdir(f"modes/folder{mode:o}")
    os.chmod(f"modes/folder{mode:o}", mode)

os.mkdir("owners")
for uid, gid in [(0, 12345), (12345, 0), (65534, 65534), (1, 2), (2**31 - 1, 2**31), (2**32 - 2, 5)]:
    os.lchown(write(f"owners/{uid}-{gid}"), uid, gid)
    os.symlink("../names", f"owners/link-{uid}-{gid}")
    os.lchown(f"owners/link-{uid}-{gid}", uid, gid)

os.mkdir("links")
os.mkdir("links/below")
write("links/first")
os.link("links/first", "links/second")
os.link("links/first", "links/below/third")
os.link("links/first", "names/link from another folder")
os.symlink("first", "links/to-first")
os.symlink("/nowhere", "links/dangling")
os.symlink(b"\xff\n" + b"x" * 3000, "links/strange target")
os.link("links/dangling", "links/hard link of a link")

os.mkdir("sparse")
for name, size, parts in [
    ("hole", 64 << 20, []),
    ("hole at the end", 64 << 20, [0]),
    ("data in the middle", 64 << 20, [32 << 20]),
    ("huge", 1 << 40, [1 << 30, (1 << 40) - 4096]),
    ("many parts", 8 << 20, range(0, 8 << 20, 64 << 10)),
]:
    with open(f"sparse/{name}", "wb") as file:
        for offset in parts:
            file.seek(offset)
            file.write(b"data" * 1024)
        file.truncate(size)

os.mkdir("special")
os.mkfifo("special/fifo")
os.mknod("special/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
os.mknod("special/block", stat.S_IFBLK | 0o600, os.makedev(250, 70000))
listener = socket.socket(socket.AF_UNIX)
listener.bind("special/socket")

os.mkdir("attributes")
write("attributes/user")
os.setxattr("attributes/user", "user.text", b"value")
os.setxattr("attributes/user", "user.bytes", bytes(range(256)))
os.setxattr("attributes/user", "user.empty", b"")
os.setxattr("attributes/user", "user.name = with signs", b"x\n=y")
os.setxattr("attributes/user", "trusted.root", b"only root sees it")
os.setxattr("attributes", "user.folder", b"value")
os.symlink("user", "attributes/link")
os.setxattr("attributes/link", "trusted.link", b"x", follow_symlinks=False)
write("attributes/capabilities")
net_bind_service = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)
os.setxattr("attributes/capabilities", "security.capability", net_bind_service)


def acl(*entries):
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


anyone = 0xFFFFFFFF
for path, kind in [("attributes/acl", "access"), ("attributes/folder", "default")]:
    write(path) if kind == "access" else os.mkdir(path)
    entries = acl((1, 6, anyone), (2, 7, 12345), (4, 4, anyone), (8, 5, 54321), (16, 7, anyone), (32, 0, anyone))
    os.setxattr(path, f"system.posix_acl_{kind}", entries)

os.mkdir("times")
for seconds, nanoseconds in [(0, 0), (1, 123456789), (2**31, 1), (2**33, 999999999), (-1, 500000000)]:
    time = seconds * 10**9 + nanoseconds
    os.utime(write(f"times/{time}"), ns=(time, time))

os.mkdir("empty folder")
write("empty file", b"")

# Its path is longer than PATH_MAX.
os.mkdir("deep")
os.chdir("deep")
for _ in range(20):
    os.mkdir("d" * 240)
    os.chdir("d" * 240)
write("bottom")
