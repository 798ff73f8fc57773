"""Be the user 65534 and exchange two names over and over, each time atomically: swap.py A B."""
import ctypes
import os
import sys

libc = ctypes.CDLL(None)
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
first, second = (name.encode() for name in sys.argv[1:3])
os.write(1, b"swapping\n")
while True:
    libc.renameat2(-100, first, -100, second, 2)  # AT_FDCWD, RENAME_EXCHANGE
