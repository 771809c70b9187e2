# SPDX-License-Identifier: MIT
#
# The commands: gca-heap, gca-span, gca-obj, gca-roots.
#
# An error is one sentence that says what is wrong and where; gdb's thread and frame
# are as before when a command is over.
"""gdb commands for gcarena heaps"""

import gdb

from .heap import (BACKENDS, CLASS_MANUAL, MODES, MUTATOR_STATES, PAGE_SHIFT, Corrupt,
                   Unreadable, address_of, all_heaps, entries_nr, heap_of, human, mutators,
                   object_of, read_words, thread_name)
from .roots import Search, addrmap_items, symbol_at

# Pointers of one object that gca-obj shows without -a.
SHOWN = 32


def field_at(heap, base, offset):
    """Name of an object's field, if its kind's structure is known to gdb."""
    obj = heap.object_at(base)
    names = heap.kind_name(obj)
    if names.startswith("array of "):
        names = names[len("array of "):]
    try:
        kind = gdb.lookup_type("struct " + names)
    except gdb.error:
        return ""
    inside = offset % kind.sizeof if kind.sizeof and heap.kind_name(obj) != names else offset
    for field in kind.fields():
        if not hasattr(field, "bitpos") or field.name is None:
            continue
        start = field.bitpos // 8
        size = field.type.sizeof
        if start <= inside < start + size or (not size and inside >= start):
            index = ""
            if field.type.strip_typedefs().code == gdb.TYPE_CODE_ARRAY:
                index = "[%d]" % ((inside - start) // 8)
            return " .%s%s" % (field.name, index)
    return ""


class Selected:
    """Keeps gdb's selected thread and frame as the user left them."""

    def __enter__(self):
        self.thread = gdb.selected_thread()
        try:
            self.frame = gdb.selected_frame()
        except gdb.error:
            self.frame = None

    def __exit__(self, *unused):
        if self.thread and self.thread.is_valid():
            self.thread.switch()
        if self.frame and self.frame.is_valid():
            self.frame.select()


class Complaints:
    """What is wrong with the heap, each once, a few of it."""

    def __init__(self):
        self.seen = []

    def __call__(self, text):
        if text not in self.seen:
            self.seen.append(text)

    def show(self):
        """Print them."""
        for text in self.seen[:8]:
            print("warning: " + text)
        if len(self.seen) > 8:
            print("warning: and %d more like these" % (len(self.seen) - 8))


def show_heap(heap):
    """A heap in a few lines."""
    value = heap.value
    print("heap %#x: %s of addresses at %#x, %s backend, %s" %
          (int(value.address), human(heap.size), heap.base,
           BACKENDS[int(value["backend_kind"]) % 3], MODES[int(value["mode"]) % 2]))
    try:
        counters = value["status"]["counters"]
        print("  in use %s, idle %s, of that released %s; generation %d%s" %
              (human(int(counters["heap_inuse"])), human(int(counters["heap_idle"])),
               human(int(counters["heap_released"])), heap.generation,
               ", sweeping" if int(value["status"]["sweeping"]) else ""))
    except gdb.MemoryError:
        print("  its status page is not there")
    limit = int(value["pacer"]["limit"])
    next_gc = int(value["next_gc"])
    print("  live after the last cycle %s in %d objects; next cycle at %s; limit %s" %
          (human(int(value["heap_live"])), int(value["heap_live_objects"]),
           human(next_gc) if next_gc < 1 << 63 else "(off)", human(limit) if limit else "none"))
    print("  cycles %d, of them forced %d%s%s%s" %
          (int(value["cycles"]), int(value["forced_cycles"]),
           "; marking now" if int(value["marking"]) else "",
           "; the arena is gone" if int(value["broken"]) else "",
           "; of the parent process" if int(value["forked"]) else ""))
    print("  roots: %d ranges, %d callbacks; %d mutators" %
          (int(value["roots"]["nr_ranges"]), int(value["roots"]["nr_callbacks"]),
           int(value["nr_mutators"])))
    for mutator in mutators(heap):
        print("    %s: %s%s" %
              (thread_name(mutator), MUTATOR_STATES[int(mutator["state"]) % 4],
               "" if int(mutator["stack_copy"]) else ", precise roots only"))


def show_classes(heap):
    """Spans and objects of a heap by span class."""
    complaints = Complaints()
    rows = {}
    for span in heap.spans(complaints):
        row = rows.setdefault(span.cls.index, [0, 0, 0])
        row[0] += 1
        row[1] += span.npages << PAGE_SHIFT
        row[2] += sum(1 for unused in span.bases())
    print("  %-28s %8s %12s %10s" % ("span class", "spans", "bytes", "objects"))
    for number in sorted(rows):
        print("  %-28s %8d %12d %10d" % (heap.library.classes[number], *rows[number]))
    complaints.show()


class Command(gdb.Command):
    """What they share: an error is a sentence, whatever it came of."""

    def __init__(self, name):
        super().__init__(name, gdb.COMMAND_DATA, gdb.COMPLETE_EXPRESSION)

    def invoke(self, argument, from_tty):
        """gdb calls it."""
        try:
            with Selected():
                self.answer(argument)
        except (Unreadable, gdb.MemoryError) as error:
            raise gdb.GdbError("the library's data are damaged, or not in this core file: %s" %
                               error) from None
        except (Corrupt, gdb.error) as error:
            raise gdb.GdbError(str(error)) from None
        except (ArithmeticError, LookupError, MemoryError, RuntimeError, TypeError,
                ValueError) as error:
            raise gdb.GdbError("the library's data are damaged, and make no sense here (%s: %s)" %
                               (type(error).__name__, error)) from None

    def answer(self, argument):
        """The command's own."""
        raise NotImplementedError


class HeapCommand(Command):
    """The gcarena heaps of the program.
Usage: gca-heap [-c]
With -c spans and objects by span class too, which reads all of the tables."""

    def __init__(self):
        super().__init__("gca-heap")

    def answer(self, argument):
        """What gdb calls it for."""
        arguments = gdb.string_to_argv(argument)
        if [a for a in arguments if a != "-c"]:
            raise gdb.GdbError("usage: gca-heap [-c]")
        for heap in all_heaps():
            show_heap(heap)
            if arguments:
                show_classes(heap)


class SpanCommand(Command):
    """The span of a gcarena heap that an address is in.
Usage: gca-span ADDRESS"""

    def __init__(self):
        super().__init__("gca-span")

    def answer(self, argument):
        """What gdb calls it for."""
        address = address_of(argument)
        heap = heap_of(address)
        page = (address - heap.base) >> PAGE_SHIFT
        span = heap.span_at(page)
        if not span:
            raise gdb.GdbError("%#x is in free pages of the heap at %#x (page %d)" %
                               (address, heap.base, page))
        print("span at %#x: pages %d to %d, %d bytes" %
              (span.base, span.page, span.page + span.npages - 1, span.npages << PAGE_SHIFT))
        print("  class %s, %s, generation %d" % (span.cls, span.state, span.generation))
        if span.cls.index == CLASS_MANUAL:
            return
        bases = list(span.bases())
        room = 1 if span.large else span.cls.objects
        marked = sum(1 for base in bases if heap.marked(base))
        print("  objects %d of %d%s" % (len(bases), room, ", %d of them marked in this cycle" %
                                        marked if int(heap.value["marking"]) else ""))
        for mutator in mutators(heap):
            holding = mutator["holdings"][span.cls.index]["span"]
            if int(holding["npages"]) and int(holding["page"]) == span.page:
                cache = mutator["caches"][span.cls.index]
                print("  %s allocates in it: next at %#x, run ends at %#x" %
                      (thread_name(mutator), int(cache["cur"]), int(cache["end"])))


def kept_by(heap, base):
    """Lines on weak references to an object, its finalizer and its like."""
    lines = []
    try:
        kept_by_lines(heap, base, lines)
    except (Corrupt, gdb.MemoryError) as error:
        lines.append("what else the heap knows of it is damaged: %s" % error)
    return lines


def kept_by_lines(heap, base, lines):
    """They, as far as they can be read."""
    special = heap.value["special"]
    nr = entries_nr(special["weaks"]["nr"], "weak references")
    for box in read_words(int(special["weaks"]["entries"]), nr) if nr else ():
        if heap.has(box) and heap.words(box, 1)[0] == base:
            lines.append("weak reference %#x refers to it" % box)
    entries = special["finalizers"]["entries"]
    for i in range(entries_nr(special["finalizers"]["nr"], "finalizers")):
        if int(entries[i]["object"]) == base:
            lines.append("it has a finalizer, %s" % symbol_at(int(entries[i]["fn"])))
    for key, unused in addrmap_items(special["pins"]):
        if key == base:
            lines.append("it is pinned")


class ObjectCommand(Command):
    """The object of a gcarena heap that an address points into.
Usage: gca-obj [-a] ADDRESS
With -a all of its pointers, else the first 32.  Where its kind is known and gdb has a
structure of that name, the object is printed as one."""

    def __init__(self):
        super().__init__("gca-obj")

    def answer(self, argument):
        """What gdb calls it for."""
        everything = argument.startswith("-a ")
        address = address_of(argument[3:] if everything else argument)
        heap, obj = object_of(address)
        self.show(heap, obj, address, everything)

    @staticmethod
    def show(heap, obj, address, everything):
        """What is known about it."""
        name = heap.kind_name(obj)
        inside = address - obj.base
        print("object at %#x%s: %s, slot of %d bytes" %
              (obj.base, " (+%d)" % inside if inside else "", name, obj.size))
        print("  span at %#x, class %s, %s%s" %
              (obj.span.base, obj.span.cls, obj.span.state,
               (", marked" if heap.marked(obj.base) else ", not marked yet")
               if int(heap.value["marking"]) else ""))
        for line in kept_by(heap, obj.base):
            print("  " + line)
        kind = heap.kind_of(obj)
        if kind and kind.trace:
            print("  its pointers are visited by %s; below is every word that may be one" %
                  symbol_at(kind.trace))
        for nr, (offset, other) in enumerate(heap.pointers(obj)):
            if nr == SHOWN and not everything:
                print("  and more: gca-obj -a %#x" % obj.base)
                break
            print("  +%-5d%s -> %s" % (offset, field_at(heap, obj.base, offset),
                                      heap.describe(other)))
        try:
            kind = gdb.lookup_type("struct " + name)
        except gdb.error:
            return
        if kind.sizeof <= obj.size:
            value = gdb.Value(obj.base).cast(kind.pointer()).dereference()
            print("  *(struct %s *)%#x = %s" % (name, obj.base, value))


class RootsCommand(Command):
    """Why an object of a gcarena heap is alive: the shortest path of references from a root.
Usage: gca-roots ADDRESS
Stacks and registers are as they are now.  What root callbacks show is not known here."""

    def __init__(self):
        super().__init__("gca-roots")

    def answer(self, argument):
        """What gdb calls it for."""
        heap, obj = object_of(address_of(argument))
        complaints = Complaints()
        search = Search(heap, complaints)
        found = search.run(obj.base)
        if found:
            self.show(heap, search.path(obj.base))
        else:
            self.nothing(heap, obj, complaints)
        complaints.show()

    @staticmethod
    def show(heap, steps):
        """A path, a line for each object on it."""
        for parent, offset, base in steps:
            if not isinstance(parent, int):
                print(parent)
                link = "->"
            elif isinstance(offset, int):
                link = "+%d%s ->" % (offset, field_at(heap, parent, offset))
            else:
                link = "value of the %s ->" % offset
            print("  %s %s" % (link, heap.describe(heap.object_at(base))))

    @staticmethod
    def nothing(heap, obj, complaints):
        """Why there may be an object that nothing reaches."""
        print("nothing that can be seen here reaches %s" % heap.describe(obj))
        lines = kept_by(heap, obj.base)
        for line in lines:
            print("  " + line)
        callbacks = int(heap.value["roots"]["nr_callbacks"])
        if complaints.seen or any("damaged" in line for line in lines):
            print("  but not everything that might could be read")
        elif callbacks:
            print("  but %d root callback%s may" % (callbacks, "" if callbacks == 1 else "s"))
        elif int(heap.value["marking"]):
            print("  a cycle is marking, and may keep it until the next one")
        elif any("finalizer" in line for line in lines):
            print("  the next cycle finds that, and has the finalizer called")
        else:
            print("  it is garbage, which the next cycle frees")
