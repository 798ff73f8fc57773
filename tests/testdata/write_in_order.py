"""Counts, as fast as it can, in two files that are written one after the other, until it is killed.

In each folder it writes "before" and then "after", each brought to the disk: at any instant
after <= before <= after + 1. Prints a line when the first round is done. Arguments: the folders.
"""

import os
import sys

files = []
for folder in sys.argv[1:]:
    for name in ("before", "after"):
        files.append(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT))
count = 0
while True:
    count += 1
    for file in files:
        os.pwrite(file, b"%12d" % count, 0)
        os.fdatasync(file)
    if count == 1:
        print("begun", flush=True)
