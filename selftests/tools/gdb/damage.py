# SPDX-License-Identifier: MIT
#
# For gdb.t: sourced in a gdb that looks at a core file of debuggee, writes damaged copies of
# it: $core_N for each N of WAYS, of which $core is the convenience variable.  The same every
# time.
"""damaged copies of a core file"""

import random
import shutil
import struct

import gdb

CORE = gdb.convenience_variable("core").string()
HEAP = gdb.parse_and_eval("heap").cast(gdb.lookup_type("struct gca_heap").pointer()).dereference()
ODD = (0, 1, 7, 0xffff, 0xffffffff, 1 << 40, (1 << 63) - 1, (1 << 64) - 1, 0x5555555555555555)


def segments(core):
    """(address, size, place in the file) of a core file's memory."""
    core.seek(0)
    header = core.read(64)
    start, size, count = (struct.unpack_from("<Q", header, 32)[0],
                          *struct.unpack_from("<HH", header, 54))
    found = []
    for i in range(count):
        core.seek(start + i * size)
        kind, _, place, address, _, length, _, _ = struct.unpack("<IIQQQQQQ", core.read(56))
        if kind == 1:
            found.append((address, length, place))
    return found


class Copy:
    """A copy of the core file, by the addresses of the memory in it."""

    def __init__(self, name):
        path = "%s_%s" % (CORE, name)
        shutil.copyfile(CORE, path)
        self.file = open(path, "r+b")
        self.segments = segments(self.file)
        self.random = random.Random(name)

    def put(self, address, content):
        """Other content."""
        for start, length, place in self.segments:
            if start <= address and address + len(content) <= start + length:
                self.file.seek(place + address - start)
                self.file.write(content)
                return
        raise gdb.GdbError("%#x is not in the core file" % address)

    def put_word(self, address, word):
        """Another word."""
        self.put(address, struct.pack("<Q", word))

    def spoil(self, address, size, share):
        """Other words here and there: one in share."""
        for at in range(address, address + size - 7, 8):
            if not self.random.randrange(share):
                self.put_word(at, self.random.choice((*ODD, self.random.getrandbits(64))))


def address(expression):
    """Where a member of the heap's is."""
    return int(HEAP[expression].address)


def rows(copy):
    """Span table: a bit of each row."""
    for page in range(int(HEAP["pages_high"])):
        for word in ("word0", "word1"):
            field = HEAP["rows"][page][word]
            copy.put_word(int(field.address), int(field) ^ 1 << copy.random.randrange(34))


def bitmaps(copy):
    """Which objects there are."""
    for i in range(2):
        copy.spoil(int(HEAP["bitmap"][i]), int(HEAP["pages_high"]) * 64, 2)


def kinds(copy):
    """What objects look like."""
    table = gdb.parse_and_eval("kinds").address.cast(gdb.lookup_type("long").pointer().pointer())
    size = gdb.lookup_type("struct kind").sizeof
    number = 1
    while int(table[number]):
        copy.spoil(int(table[number]), size, 4)
        number += 1
    copy.spoil(int(HEAP["kind_ids"]), int(HEAP["pages_high"]) * 256, 2)


def objects(copy):
    """What is in them."""
    copy.spoil(int(HEAP["base"]), int(HEAP["pages_high"]) * 8192, 3)


def heap(copy):
    """The heap itself: this and that in it."""
    copy.spoil(int(HEAP.address), HEAP.type.sizeof, 12)


def heap_all(copy):
    """All of it."""
    copy.spoil(int(HEAP.address), HEAP.type.sizeof, 1)


def threads(copy):
    """What is known of its threads."""
    mutator = HEAP["mutators"]
    copy.spoil(int(mutator), mutator.dereference().type.sizeof, 6)


def circles(copy):
    """Lists without an end."""
    copy.put_word(address("next_heap"), int(HEAP.address))
    mutator = HEAP["mutators"]
    copy.put_word(int(mutator["next"].address), int(mutator))


def specials(copy):
    """Weak references, finalizers, pins, pools, ephemerons."""
    copy.spoil(address("special"), HEAP["special"].type.sizeof, 2)


def roots(copy):
    """Registered ranges."""
    copy.spoil(address("roots"), HEAP["roots"].type.sizeof, 2)


def sizes(copy):
    """More of everything than there can be."""
    copy.put_word(address("size"), 1 << 50)
    copy.put_word(address("pages_high"), (1 << 32) - 1)


WAYS = (rows, bitmaps, kinds, objects, heap, heap_all, threads, circles, specials, roots, sizes)
for way in WAYS:
    way(Copy(way.__name__))
    print("damaged: %s" % way.__name__)
