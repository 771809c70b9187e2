# SPDX-License-Identifier: MIT
#
# Roots as gdb sees them, and the shortest way from one to an object.
#
# The collector takes a thread's stack at a handshake; here stacks and registers are those
# that the threads have now.  Root callbacks cannot be asked: nothing is called.
"""What keeps objects of gcarena heaps alive"""

from collections import deque

import gdb

from .heap import Corrupt, entries_nr, linked, mutators, read_words, thread_name, thread_of

RED_ZONE = 128                  # bytes below the stack pointer that a leaf may use


def addrmap_items(value):
    """(key, value) of one of the library's maps."""
    size = int(value["size"])
    if not int(value["nr"]):
        return []
    if size & (size - 1) or int(value["nr"]) > size:
        raise Corrupt("a map of %d entries in %d slots is damaged" % (int(value["nr"]), size))
    words = read_words(int(value["slots"]), size * 2)
    return [(words[i], words[i + 1]) for i in range(0, size * 2, 2) if words[i]]


class Frames:
    """Which function's frame a place of a stack is in."""

    def __init__(self, thread):
        self.frames = []
        frame = None
        if thread:
            thread.switch()
            try:
                frame = gdb.newest_frame()
            except gdb.error:
                pass
        while frame and frame.is_valid() and len(self.frames) < 1000:
            try:
                self.frames.append((int(frame.read_register("sp")), frame.name() or "??"))
                frame = frame.older()
            except gdb.error:
                break

    def sp(self):
        """The thread's stack pointer, 0 if nobody knows."""
        return self.frames[0][0] if self.frames else 0

    def __call__(self, address):
        found = ""
        for i, (low, name) in enumerate(self.frames):
            if address >= low - (RED_ZONE if not i else 0):
                found = ", frame #%d %s()" % (i, name)
        return found


def registers():
    """(name, value) of the selected thread's general registers."""
    frame = gdb.newest_frame()
    for register in frame.architecture().registers("general"):
        try:
            yield register.name, int(frame.read_register(register.name))
        except (gdb.error, TypeError, ValueError):
            continue


def stack_roots(heap, mutator):
    """(description, word, exact) of what one mutator holds."""
    who = thread_name(mutator)
    thread = thread_of(mutator)
    frames = Frames(thread)
    for frame in linked(mutator["frames"], "next", "frames"):
        at = int(frame.address)
        for i, word in enumerate(read_words(at + frame.type.sizeof,
                                            entries_nr(frame["count"], "slots of a frame"))):
            yield "GCA_FRAME slot %d at %#x of %s%s" % (i, at, who, frames(at)), word, True
    if not int(mutator["stack_copy"]):
        return
    if int(mutator["state"]):
        copy, copied = int(mutator["stack_copy"]), int(mutator["copied"])
        low = int(mutator["stack_low"])
        for i, word in enumerate(read_words(copy, copied // 8)):
            if heap.has(word):
                yield ("stack or registers of %s when it was blocked, at %#x%s" %
                       (who, low + i * 8, frames(low + i * 8))), word, False
    if not thread:
        return
    thread.switch()
    for name, word in registers():
        if heap.has(word):
            yield "register %s of %s" % (name, who), word, False
    low = max((frames.sp() & ~7) - RED_ZONE, int(mutator["stack_limit"]))
    high = int(mutator["stack_base"])
    # A thread on another stack than its own has nothing to show there.
    if low < high and frames.sp() > int(mutator["stack_limit"]):
        for i, word in enumerate(read_words(low, (high - low) // 8)):
            if heap.has(word):
                at = low + i * 8
                yield "stack of %s at %#x%s" % (who, at, frames(at)), word, False


def symbol_at(address):
    """What the program calls a place, or its address."""
    text = gdb.execute("info symbol %#x" % address, to_string=True)
    if " in section" in text:
        return "%s (%#x)" % (text.split(" in section")[0], address)
    return "%#x" % address


def range_roots(heap):
    """(description, word, exact) of registered ranges, handles and pins among them."""
    special, roots = heap.value["special"], heap.value["roots"]
    blocks = dict(addrmap_items(special["handle_blocks"]))
    pins = {}
    for key, value in addrmap_items(special["pins"]):
        pins[int(value)] = key
    for i in range(entries_nr(roots["nr_ranges"], "root ranges")):
        start, size = int(roots["ranges"][i]["start"]), int(roots["ranges"][i]["bytes"])
        for at, word in enumerate(read_words(start, size // 8)):
            if not heap.has(word):
                continue
            where = start + at * 8
            if where in pins:
                yield "a pin of it (gca_pin)", word, True
            elif start in blocks:
                yield "handle %#x" % where, word, True
            else:
                yield "root range at %s, slot %d" % (symbol_at(where), at), word, True


def special_roots(heap):
    """(description, word, exact) of pools and finalizers that are due."""
    special = heap.value["special"]
    for name, first in (("queue", int(special["queue_head"])), ("ready", 0)):
        entries = special[name]["entries"]
        for i in range(first, entries_nr(special[name]["nr"], "finalizers")):
            entry = entries[i]
            yield ("a finalizer that waits to be called, %s" % symbol_at(int(entry["fn"])),
                   int(entry["object"]), True)
    for pool in linked(special["pools"], "next", "pools"):
        shards = pool["shards"]
        for i in range(shards.type.range()[0], shards.type.range()[1] + 1):
            for half in ("primary", "victim"):
                held = shards[i][half]
                nr = entries_nr(held["nr"], "objects of a pool")
                for word in read_words(int(held["objects"]), nr) if nr else ():
                    yield "pool %#x (%s)" % (int(pool.address), half), word, True


def all_roots(heap, complain):
    """(description, word, exact) of every root, those with a name before stacks."""
    for roots in (range_roots, special_roots):
        try:
            yield from roots(heap)
        except (Corrupt, gdb.MemoryError) as error:
            complain("some roots are not known: %s" % error)
    try:
        for mutator in mutators(heap):
            try:
                yield from stack_roots(heap, mutator)
            except (Corrupt, gdb.MemoryError) as error:
                complain("some roots are not known: %s" % error)
    except Corrupt as error:
        complain("some roots are not known: %s" % error)


class Search:
    """The shortest way from a root to an object."""

    def __init__(self, heap, complain):
        self.heap = heap
        self.complain = complain
        self.parent = {}        # base: (base or a root's description, offset)
        self.todo = deque()
        special = heap.value["special"]["ephemerons"]
        self.ephemerons = []
        try:
            nr = entries_nr(special["nr"], "ephemerons")
            for box in read_words(int(special["entries"]), nr) if nr else ():
                if heap.has(box):
                    key, value = heap.words(box, 2)
                    self.ephemerons.append((box, key, value))
        except Corrupt as error:
            complain("some ephemerons are not known: %s" % error)

    def reach(self, obj, parent, offset):
        """An object was found by way of parent."""
        if obj.base not in self.parent:
            self.parent[obj.base] = (parent, offset)
            self.todo.append(obj)

    def ephemerons_reach(self):
        """Values whose key and box are alive: whether there was one."""
        before = len(self.parent)
        for box, key, value in self.ephemerons:
            if box in self.parent and key in self.parent:
                obj = self.heap.target(value, True)
                if obj:
                    self.reach(obj, box, "ephemeron whose key is %#x" % key)
        return len(self.parent) > before

    def run(self, target):
        """True: the target was reached."""
        for where, word, exact in all_roots(self.heap, self.complain):
            obj = self.heap.target(word, exact)
            if obj:
                self.reach(obj, where, None)
        while True:
            while self.todo and target not in self.parent:
                obj = self.todo.popleft()
                try:
                    for offset, other in self.heap.pointers(obj):
                        self.reach(other, obj.base, offset)
                except Corrupt as error:
                    self.complain(str(error))
            if target in self.parent:
                return True
            if not self.ephemerons_reach():
                return False

    def path(self, target):
        """[(parent, offset, base)], from the root on."""
        steps = []
        while target is not None:
            parent, offset = self.parent[target]
            steps.append((parent, offset, target))
            target = parent if isinstance(parent, int) else None
        return steps[::-1]
