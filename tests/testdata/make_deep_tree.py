"""Make a tree whose paths are much longer than PATH_MAX: make_deep_tree.py FOLDER"""

import os
import sys

names = [
    b"-rf" + b"a" * 200,
    b"100%s" + b"b" * 200,
    b"\xff\xfe" + b"c" * 200,
    b"new\nline" + b"d" * 200 + b"\n",
    b"back\\n" + b"e" * 200,
    b"'quote\" $(touch executed)" + b"f" * 200,
    b"*?[" + b"g" * 200,
]

os.mkdir(sys.argv[1])
os.chdir(sys.argv[1])
for level in range(70):
    with open(b"file\n%d" % level, "wb") as file:
        file.write(b"%d" % level)
    os.mkdir(names[level % len(names)])
    os.chdir(names[level % len(names)])
    # Of the folder that the next one is made in: tar must set it again at the end.
    os.utime("..", (level * 1000, level * 1000 + 5))
with open("bottom", "wb") as file:
    file.write(b"bottom")
os.link("bottom", "linked")
os.symlink("/nowhere", "symbolic")
