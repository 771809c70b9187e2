# SPDX-License-Identifier: MIT
#
# gdb's view of gcarena heaps: commands and pretty-printers, for live processes and
# core files.  gdb loads this by itself with libgcarena.so where it was installed; for a
# program that links the archive, "source" it.  The rest is in gcarena_gdb, beside this
# file or where "make install" put it.
# Documentation/debugging.rst is the guide.
"""gdb commands and pretty-printers for gcarena heaps"""

import os
import sys

import gdb
import gdb.printing

for place in (os.path.dirname(os.path.abspath(__file__)), "@GDBDATA@"):
    if os.path.isdir(os.path.join(place, "gcarena_gdb")):
        sys.path.insert(0, place)
        break

from gcarena_gdb import commands, printers

gdb.printing.register_pretty_printer(None, printers.Printers(), replace=True)
for command in (commands.HeapCommand, commands.SpanCommand, commands.ObjectCommand,
                commands.RootsCommand):
    command()
