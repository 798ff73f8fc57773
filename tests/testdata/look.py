"""Be the user 65534 and wait until a file can be opened; then say whether another one is there, too."""
import os
import sys

os.setgroups([])
os.setgid(65534)
os.setuid(65534)
early, late = sys.argv[1:3]
os.write(1, b"looking\n")
while True:
    try:
        open(early).close()
        break
    except OSError:
        pass
os.write(1, b"complete\n" if os.path.exists(late) else b"not complete\n")
