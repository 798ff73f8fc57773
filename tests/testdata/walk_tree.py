"""Print all that a backup must preserve of a tree, a line an entry. Usage: walk_tree.py FOLDER

Left out are sockets, which no archive holds, and the times of folders above the tree.
"""

import hashlib
import os
import stat
import sys


def content(name, folder):
    hash = hashlib.sha256()
    file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder)
    try:
        size = os.fstat(file).st_size
        offset = 0
        while offset < size:
            try:  # from one part with data to the next
                offset = os.lseek(file, offset, os.SEEK_DATA)
            except OSError:
                break
            data = os.pread(file, min(1 << 20, os.lseek(file, offset, os.SEEK_HOLE) - offset), offset)
            if data.strip(b"\0"):
                for start in range(0, len(data), 4096):
                    block = data[start : start + 4096]
                    if block.strip(b"\0"):
                        hash.update(b"%d:" % (offset + start) + block)
            offset += len(data)
    finally:
        os.close(file)
    return hash.hexdigest()


def attributes(name, folder):
    path = b"/proc/self/fd/%d/" % folder + name
    names = sorted(os.listxattr(path, follow_symlinks=False))
    return {key: os.getxattr(path, key, follow_symlinks=False).hex() for key in names}


first_names = {}


def walk(path, folder):
    for name in sorted(os.listdir(folder)):
        name = os.fsencode(name)
        here = path + b"/" + name
        info = os.lstat(name, dir_fd=folder)
        if stat.S_ISSOCK(info.st_mode):
            continue
        what = [oct(info.st_mode), info.st_uid, info.st_gid, info.st_mtime_ns, attributes(name, folder)]
        if stat.S_ISREG(info.st_mode):
            is_sparse = info.st_size > 1 << 20 and info.st_blocks * 512 < info.st_size
            what += [info.st_size, is_sparse, content(name, folder)]
        if stat.S_ISLNK(info.st_mode):
            what.append(os.readlink(name, dir_fd=folder))
        if stat.S_ISCHR(info.st_mode) or stat.S_ISBLK(info.st_mode):
            what.append(info.st_rdev)
        if not stat.S_ISDIR(info.st_mode) and info.st_nlink > 1:
            what.append(first_names.setdefault((info.st_dev, info.st_ino), here))
        print(here, *what)
        if stat.S_ISDIR(info.st_mode):
            below = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            walk(here, below)
            os.close(below)


walk(b"", os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY))
