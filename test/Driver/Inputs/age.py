"""Dates files back: age.py YEAR FILE..."""
import datetime
import os
import sys

then = datetime.datetime(int(sys.argv[1]), 1, 1).timestamp()
for path in sys.argv[2:]:
    os.utime(path, (then, then))
