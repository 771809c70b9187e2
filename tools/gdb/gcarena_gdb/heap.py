# SPDX-License-Identifier: MIT
#
# A heap as gdb reads it: span table, bitmaps, kinds, and the way from an address to an
# object and from there to its pointers.
#
# It only reads, and calls nothing in the program: so it works on a core file, and on
# a process stopped anywhere, with a lock held or in the middle of a cycle.  What it
# reads may be damaged: every index is checked before it is used.
# Names and layouts come from the library's debug info; what is repeated here is the way
# from an address to an object, as lib/internal.h and lib/object.c go it.
"""gcarena heaps in the program that gdb looks at"""

from array import array

import gdb

PAGE_SHIFT = 13
PAGE_SIZE = 1 << PAGE_SHIFT
GRANULE_SHIFT = 4
GRANULE_SIZE = 1 << GRANULE_SHIFT
LINE_WORDS = 8                  # of one bitmap for one page
PAGE_WORDS = PAGE_SIZE // 8
CELL_SHIFT = 6                  # of the kind table

ROW_OFFSET_ESCAPE = 0xffff
ROW_IN_USE = 1 << 32
ROW_LARGE = 1 << 33
NO_TAIL = 0xffffffff

STATES = ("free", "ready", "held", "swept", "unswept", "sweeping", "manual", "transit")
FLAVOURS = ("bytes", "precise", "conservative", "kinded")
NOSCAN, PRECISE, CONSERVATIVE, KINDED = range(4)
CLASS_LARGE_NOSCAN, CLASS_LARGE_SCAN, CLASS_MANUAL = range(3)
MUTATOR_STATES = ("running", "blocked", "blocked (claimed)", "waiting for the collector")
BACKENDS = ("auto", "device", "process")
MODES = ("concurrent", "stop-the-world")

# What no table, list or stack is larger than: else it is damage, and not worth the wait.
BYTES_MAX = 1 << 32
ENTRIES_MAX = 1 << 24

# Pages of objects kept while paths are searched: 128 MiB.
CACHED_PAGES = 16384


class Corrupt(Exception):
    """Something in the heap's tables cannot be."""


class Unreadable(Corrupt):
    """Memory that a table says is there is not."""


def human(nr):
    """A number of bytes for people."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if nr < 1024 or unit == "TiB":
            return "%d %s" % (nr, unit) if unit == "B" else "%.1f %s" % (nr, unit)
        nr /= 1024
    return ""


def read_words(address, count):
    """count words of the program's memory at address."""
    words = array("Q")
    if not 0 <= count * 8 <= BYTES_MAX:
        raise Corrupt("%d words at %#x are more than there can be" % (count, address))
    try:
        words.frombytes(bytes(gdb.selected_inferior().read_memory(address, count * 8)))
    except (gdb.MemoryError, OverflowError):
        raise Unreadable("%d bytes at %#x cannot be read" % (count * 8, address)) from None
    return words


def read_u16(address):
    """A 16-bit number of the program's memory."""
    try:
        return int.from_bytes(bytes(gdb.selected_inferior().read_memory(address, 2)), "little")
    except (gdb.MemoryError, OverflowError):
        raise Unreadable("2 bytes at %#x cannot be read" % address) from None


def entries_nr(value, what):
    """How many entries a table of the library's says it has."""
    nr = int(value)
    if not 0 <= nr <= ENTRIES_MAX:
        raise Corrupt("%d %s are more than there can be" % (nr, what))
    return nr


def linked(pointer, following, what):
    """What a list links, dereferenced; Corrupt if it has no end."""
    seen = set()
    while int(pointer):
        if int(pointer) in seen or len(seen) >= 1 << 16:
            raise Corrupt("the list of %s has no end: it is damaged at %#x" % (what, int(pointer)))
        seen.add(int(pointer))
        try:
            value = pointer.dereference()
            after = value[following]
            after.fetch_lazy()
        except gdb.MemoryError:
            raise Corrupt("the list of %s is damaged, or not in this core file: %#x cannot be read" %
                          (what, int(pointer))) from None
        yield value
        pointer = after


def text_of(pointer):
    """A name that the program gave, in which there may be anything by now."""
    return pointer.string(errors="replace", length=-1) if int(pointer) else "(unnamed)"


def library_type(tag):
    """One of the library's own structures, complete; else it is said what is missing."""
    try:
        found = gdb.lookup_type("struct " + tag)
        if found.fields():
            return found
    except (gdb.error, TypeError):
        pass
    try:
        gdb.parse_and_eval("(void *)&gca_open")
    except gdb.error:
        raise gdb.GdbError("no libgcarena in this program, or it is not loaded yet") from None
    raise gdb.GdbError("libgcarena has no debug info here: build it with -g, or give gdb its "
                       "symbols, and try again")


def library_symbol(name, tag):
    """The library's variable of that name, one of struct tag, an array or pointer."""
    library_type(tag)
    found = list(gdb.lookup_static_symbols(name))
    one = gdb.lookup_global_symbol(name)
    if one:
        found.append(one)
    for symbol in found:
        kind = symbol.type
        while kind.code in (gdb.TYPE_CODE_ARRAY, gdb.TYPE_CODE_PTR, gdb.TYPE_CODE_TYPEDEF):
            kind = kind.strip_typedefs() if kind.code == gdb.TYPE_CODE_TYPEDEF else kind.target()
        if kind.unqualified().tag == tag:
            try:
                value = symbol.value()
                # Not the whole table at once, which may be over max-value-size.
                if value.type.code == gdb.TYPE_CODE_ARRAY:
                    return value.address.cast(value.type.target().pointer())
                value.fetch_lazy()
                return value
            except gdb.error as error:
                raise gdb.GdbError("the library's %s cannot be read: %s" %
                                   (name, error)) from None
    raise gdb.GdbError("libgcarena's debug info has no \"%s\": another version?" % name)


def bits_of(mask):
    """The indices of a number's bits."""
    found = []
    while mask:
        lowest = mask & -mask
        found.append(lowest.bit_length() - 1)
        mask ^= lowest
    return found


class SpanClass:
    """A span class, as the library knows it."""

    def __init__(self, index, value):
        self.index = index
        self.elem = int(value["elem"])
        self.npages = int(value["npages"])
        self.objects = int(value["objects"])
        self.flavour = int(value["flavour"])

    def __str__(self):
        if self.index == CLASS_MANUAL:
            return "%d (manual)" % self.index
        if not self.elem:
            return "%d (large, %s)" % (self.index, "bytes" if self.index == CLASS_LARGE_NOSCAN
                                       else "kinded")
        return "%d (%d bytes, %s)" % (self.index, self.elem, FLAVOURS[self.flavour])


class Span:
    """A run of pages that belongs together."""

    def __init__(self, heap, page, npages, cls, large, word1):
        self.heap = heap
        self.page = page
        self.npages = npages
        self.cls = cls
        self.large = large
        self.state = STATES[word1 & 7]
        self.generation = word1 >> 32
        self.base = heap.base + (page << PAGE_SHIFT)

    def bases(self):
        """The addresses of its objects, alive or not yet collected."""
        if self.cls.index == CLASS_MANUAL:
            return
        if self.large:
            if self.heap.allocated(self.base):
                yield self.base
            return
        for i in range(self.cls.objects):
            base = self.base + i * self.cls.elem
            if self.heap.allocated(base):
                yield base


class Object:
    """A slot of a collected span."""

    def __init__(self, span, base, size):
        self.span = span
        self.base = base
        self.size = size


class Kind:
    """Where the pointers of an object are: struct kind of the library."""

    def __init__(self, value):
        abi = value["abi"]
        self.id = int(abi["id"])
        self.name = text_of(value["name"])
        self.mask = int(abi["pointer_mask"])
        self.size = int(abi["size"])
        self.flavour = int(abi["flavour"])
        self.class_of = int(abi["class_of"])
        self.trace = int(value["trace"])
        self.tail = int(value["tail"])
        self.elem = int(value["elem"])
        self.conservative = bool(value["conservative"])
        self.interior = bool(value["interior"])
        self.runs = []
        run = value["runs"]
        while len(self.runs) < 1 << 16 and int(run["count"]):
            self.runs.append((int(run["offset"]), int(run["count"])))
            run += 1
        self.check(int(value.address))

    def check(self, address):
        """Corrupt if it cannot describe an object."""
        room = self.elem or self.size
        if self.elem % 8 or self.flavour >= len(FLAVOURS) or \
                [run for run in self.runs if room and run[0] + 8 * run[1] > room]:
            raise Corrupt("kind %d at %#x is damaged" % (self.id, address))

    def span_class(self):
        """The span class of an object of just this kind, or None."""
        if not self.size or self.size > 512:
            return None
        return read_u16(self.class_of + 2 * ((self.size + 16) >> GRANULE_SHIFT))


class Library:
    """What is the process's, not one heap's; read once for each command."""

    def __init__(self):
        nr = int(gdb.parse_and_eval("nr_span_classes")) if library_type("gca_heap") else 0
        table = library_symbol("span_classes", "span_class")
        self.classes = [SpanClass(i, table[i]) for i in range(min(nr, 256))]
        self.kind_table = library_symbol("kinds", "kind")
        self.kinds = {}

    def kind(self, number):
        """The kind with this id, or None."""
        if number not in self.kinds:
            pointer = self.kind_table[number]
            try:
                kind = Kind(pointer.dereference()) if int(pointer) else None
            except gdb.MemoryError:
                raise Corrupt("kind %d at %#x cannot be read" %
                              (number, int(pointer))) from None
            if kind and kind.id != number:
                raise Corrupt("kind %d at %#x is damaged: it says that it is %d" %
                              (number, int(pointer), kind.id))
            self.kinds[number] = kind
        return self.kinds[number]

    def all_kinds(self):
        """Those that the program has registered, and the three that are there."""
        number = 1
        while number < 65536 and self.kind(number):
            yield self.kind(number)
            number += 1


class Heap:
    """One heap: its tables, and the way from an address to an object."""

    def __init__(self, library, value):
        self.library = library
        self.value = value
        self.base = int(value["base"])
        self.size = int(value["size"])
        self.npages = self.size >> PAGE_SHIFT
        self.rows = int(value["rows"])
        self.pointer_bits = int(value["pointer_bits"])
        self.kind_ids = int(value["kind_ids"])
        self.generation = int(value["generation"])
        self.used = min(int(value["pages_high"]), self.npages)
        if not self.base or self.base % PAGE_SIZE or self.base + self.size > 1 << 64:
            raise Corrupt("the heap at %#x is damaged: %#x bytes of addresses at %#x" %
                          (int(value.address), self.size, self.base))
        self.alloc_bits = int(value["bitmap"][self.generation & 1])
        self.mark_bits = int(value["bitmap"][(self.generation + 1) & 1])
        self.row_words = None
        self.alloc_words = None
        self.mark_words = None
        self.span_of = {}
        self.pages = {}
        self.page_bits = {}

    def load(self):
        """Row and bits of every page that was ever in use, in one read each."""
        if self.row_words is None:
            try:
                self.row_words = read_words(self.rows, self.used * 2)
                self.alloc_words = read_words(self.alloc_bits, self.used * LINE_WORDS)
                self.mark_words = read_words(self.mark_bits, self.used * LINE_WORDS)
            except Corrupt as error:
                hint = ""
                if int(self.value["backend_kind"]) == 1:
                    hint = (": a core file has none of the device's tables, unless gdb made it "
                            "with \"set dump-excluded-mappings on\" and the coredump_filter that "
                            "debugging.rst says")
                raise gdb.GdbError("the heap's span table or bitmaps are not there (%s)%s" %
                                   (error, hint)) from None

    def has(self, address):
        """Whether an address is one of the heap's."""
        return 0 <= address - self.base < self.size

    def span_at(self, page):
        """The span that a page belongs to, or None; Corrupt if its row cannot be."""
        if page not in self.span_of:
            self.span_of[page] = self.span_read(page)
        return self.span_of[page]

    def span_read(self, page):
        """span_at(), without what was found out before."""
        self.load()
        if page >= self.used:
            return None
        word0, word1 = self.row_words[2 * page], self.row_words[2 * page + 1]
        if not word0 & ROW_IN_USE:
            return None
        number, offset = word0 & 0xffff, word0 >> 16 & 0xffff
        where = "the row of page %d (word0 %#x, word1 %#x) is corrupt: " % (page, word0, word1)
        if number >= len(self.library.classes):
            raise Corrupt("%sspan class %d of %d" % (where, number, len(self.library.classes)))
        cls = self.library.classes[number]
        large = bool(word0 & ROW_LARGE)
        if cls.npages and not 8 <= cls.elem * cls.objects <= cls.npages << PAGE_SHIFT:
            raise Corrupt("span class %d is damaged: %d objects of %d bytes in %d pages" %
                          (number, cls.objects, cls.elem, cls.npages))
        if large != (not cls.npages):
            raise Corrupt("%sa %s span of class %s" % (where, "large" if large else "small", cls))
        first = word1 & 0xffffffff if offset == ROW_OFFSET_ESCAPE else page - offset
        if not 0 <= first <= page:
            raise Corrupt("%sits span begins at page %d" % (where, first))
        start0, start1 = self.row_words[2 * first], self.row_words[2 * first + 1]
        if not start0 & ROW_IN_USE or start0 & 0xffff != number or start0 >> 16 & 0xffff:
            raise Corrupt("%spage %d does not begin such a span (word0 %#x)" %
                          (where, first, start0))
        npages = start1 >> 4 & 0xfffffff if large else cls.npages
        if not npages or first + npages > self.npages or page >= first + npages:
            raise Corrupt("%sa span of %d pages from page %d on" % (where, npages, first))
        return Span(self, first, npages, cls, large, start1)

    def spans(self, complain=None):
        """Every span, by address; what is corrupt is told to complain()."""
        self.load()
        page = 0
        while page < self.used:
            try:
                span = self.span_at(page)
            except Corrupt as error:
                if complain:
                    complain(str(error))
                span = None
            if span and span.page == page:
                yield span
                page += span.npages
            else:
                page += 1

    def object_at(self, address):
        """The slot that an address points into, whether or not an object is there."""
        if not self.has(address):
            return None
        span = self.span_at((address - self.base) >> PAGE_SHIFT)
        if not span or span.cls.index == CLASS_MANUAL:
            return None
        if span.large:
            return Object(span, span.base, span.npages << PAGE_SHIFT)
        index = (address - span.base) // span.cls.elem
        if index >= span.cls.objects:
            return None
        return Object(span, span.base + index * span.cls.elem, span.cls.elem)

    def bit(self, words, base):
        """An object's bit in a bitmap."""
        granule = (base - self.base) >> GRANULE_SHIFT
        return granule >> 6 < len(words) and bool(words[granule >> 6] >> (granule & 63) & 1)

    def allocated(self, base):
        """Whether there is an object at the beginning of a slot."""
        if self.alloc_words is None:
            self.load()
        return self.bit(self.alloc_words, base)

    def marked(self, base):
        """Whether marking has come to an object."""
        self.load()
        return self.bit(self.mark_words, base)

    def words(self, address, count):
        """Words of the heap, aligned, by way of a cache of whole pages."""
        page, first = divmod((address - self.base) >> 3, PAGE_WORDS)
        if page in self.pages and first + count <= PAGE_WORDS:
            return self.pages[page][first:first + count]
        result = array("Q")
        while count:
            page, first = divmod((address - self.base) >> 3, PAGE_WORDS)
            if page not in self.pages:
                if len(self.pages) >= CACHED_PAGES:
                    self.pages.clear()
                self.pages[page] = read_words(self.base + page * PAGE_SIZE, PAGE_WORDS)
            here = min(count, PAGE_WORDS - first)
            result.extend(self.pages[page][first:first + here])
            address += here * 8
            count -= here
        return result

    def pointer_mask(self, obj):
        """A bit for each of an object's words that pointer bits name."""
        page, first = divmod((obj.base - self.base) >> 3, PAGE_WORDS)
        if page not in self.page_bits:
            if len(self.page_bits) >= CACHED_PAGES:
                self.page_bits.clear()
            # An object of up to 512 bytes may reach into the next page.
            words = read_words(self.pointer_bits + page * PAGE_WORDS // 8, PAGE_WORDS // 64 + 1)
            self.page_bits[page] = int.from_bytes(words.tobytes(), "little")
        return self.page_bits[page] >> first & (1 << obj.size // 8) - 1

    def kind_of(self, obj):
        """The kind that the kind table names; None for those without an entry."""
        if obj.span.cls.index != CLASS_LARGE_SCAN and obj.span.cls.flavour != KINDED:
            return None
        number = read_u16(self.kind_ids + 2 * ((obj.base - self.base) >> CELL_SHIFT))
        kind = self.library.kind(number)
        if not kind:
            raise Corrupt("the object at %#x has kind %d, which nobody registered" %
                          (obj.base, number))
        return kind

    def likely_kinds(self, obj):
        """Kinds whose objects look like this one, which has no entry in the table."""
        if obj.span.cls.flavour != PRECISE:
            return []
        mask = self.pointer_mask(obj)
        return [kind for kind in self.library.all_kinds()
                if kind.flavour == PRECISE and kind.mask and kind.mask == mask and
                kind.span_class() == obj.span.cls.index]

    def kind_name(self, obj):
        """What an object is called."""
        try:
            kind = self.kind_of(obj)
            if kind:
                return ("array of %s" if kind.elem else "%s") % kind.name
            likely = self.likely_kinds(obj)
        except Corrupt:
            return "unknown kind"
        if likely and len(likely) < 4:
            return " or ".join(kind.name for kind in likely)
        return FLAVOURS[obj.span.cls.flavour]

    def slots(self, obj):
        """(word's index, exact) of every word of an object that may be a pointer."""
        flavour = obj.span.cls.flavour
        count = obj.size // 8
        if obj.span.cls.index == CLASS_LARGE_NOSCAN:
            return []
        if obj.span.cls.index != CLASS_LARGE_SCAN:
            if flavour == NOSCAN:
                return []
            if flavour == PRECISE:
                return [(i, True) for i in bits_of(self.pointer_mask(obj))]
            if flavour == CONSERVATIVE:
                return [(i, False) for i in range(count)]
        kind = self.kind_of(obj)
        # What a trace callback shows only the program can tell: every word may be.
        if kind.conservative or kind.trace:
            return [(i, False) for i in range(count)]
        found = []
        exact = not kind.interior
        step = kind.elem if kind.elem else obj.size
        for start in range(0, obj.size - step + 1, step):
            for offset, nr in kind.runs:
                first = (start + offset) // 8
                found.extend((i, exact) for i in range(first, min(first + nr, count)))
        if not kind.elem and kind.tail != NO_TAIL:
            found.extend((i, exact) for i in range(kind.tail // 8, count))
        return found

    def target(self, word, exact):
        """The object that a word refers to, or None; exact: as a precise field does."""
        if not word or not self.has(word):
            return None
        try:
            obj = self.object_at(word)
        except Corrupt:
            return None
        if not obj or not self.allocated(obj.base):
            return None
        # A tiny block is a granule that several share.
        if exact and word - obj.base >= GRANULE_SIZE:
            return None
        return obj

    def pointers(self, obj):
        """(offset, object) of everything that an object refers to."""
        slots = self.slots(obj)
        if not slots:
            return
        words = self.words(obj.base, obj.size // 8)
        for index, exact in slots:
            other = self.target(words[index], exact)
            if other:
                yield index * 8, other

    def describe(self, obj):
        """One object in half a line."""
        return "%#x (%s, %d bytes)" % (obj.base, self.kind_name(obj), obj.size)


def mutators(heap):
    """The heap's mutators, as values."""
    return list(linked(heap.value["mutators"], "next", "threads"))


def thread_of(mutator):
    """gdb's thread of a mutator, or None."""
    tid = int(mutator["account"]["tid"])
    for thread in gdb.selected_inferior().threads():
        if tid in (thread.ptid[1], thread.ptid[2]):
            return thread
    return None


def thread_name(mutator):
    """How gdb calls a mutator's thread."""
    thread = thread_of(mutator)
    tid = int(mutator["account"]["tid"])
    return "thread %d (LWP %d)" % (thread.num, tid) if thread else "LWP %d" % tid


def all_heaps():
    """Every open heap of the program."""
    library_type("gca_heap")
    if not gdb.selected_inferior().threads():
        raise gdb.GdbError("the program is not being run, and there is no core file")
    library = Library()
    found = [Heap(library, value)
             for value in linked(library_symbol("heaps", "gca_heap"), "next_heap", "heaps")]
    if not found:
        raise gdb.GdbError("the program has no heap open")
    return found


def address_of(text):
    """What an expression says, as an address."""
    if not text:
        raise gdb.GdbError("an address is missing")
    value = gdb.parse_and_eval(text)
    if value.type.strip_typedefs().code in (gdb.TYPE_CODE_STRUCT, gdb.TYPE_CODE_UNION):
        fields = value.type.strip_typedefs().fields()
        value = value["gca_raw"] if [f.name for f in fields] == ["gca_raw"] else value.address
    try:
        return int(value) & (1 << 64) - 1
    except (gdb.error, TypeError):
        raise gdb.GdbError("%s is no address" % text) from None


def heap_of(address):
    """The heap that an address is in."""
    heaps = all_heaps()
    for heap in heaps:
        if heap.has(address):
            return heap
    raise gdb.GdbError("%#x is in no heap; heaps are %s" % (address, ", ".join(
        "%#x-%#x" % (heap.base, heap.base + heap.size) for heap in heaps)))


def object_of(address):
    """Heap and object that an address points into; else it is said what is there."""
    heap = heap_of(address)
    span = heap.span_at((address - heap.base) >> PAGE_SHIFT)
    obj = heap.object_at(address)
    if not span:
        raise gdb.GdbError("%#x is in free pages of the heap at %#x" % (address, heap.base))
    if span.cls.index == CLASS_MANUAL:
        raise gdb.GdbError("%#x is in manual memory of %d bytes at %#x" %
                           (address, span.npages << PAGE_SHIFT, span.base))
    if not obj:
        raise gdb.GdbError("%#x is behind the last object of the span at %#x" %
                           (address, span.base))
    if not heap.allocated(obj.base):
        raise gdb.GdbError("%#x is in a free slot of %d bytes at %#x: no object is there, or "
                           "not any more" % (address, obj.size, obj.base))
    return heap, obj
