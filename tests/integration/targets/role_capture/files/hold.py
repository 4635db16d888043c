"""Holds a disk image open for writing, as a running VM does, until it is told to end."""

import signal
import sys

with open(sys.argv[1], "r+b") as disk:
    print("held", flush=True)
    signal.pause()
