# SPDX-License-Identifier: MIT
#
# Pretty-printers for what a program's author meets: REF fields, weak references, kinds,
# rows of the span table.  "print/r" shows any of them as it is.
"""gdb pretty-printers for gcarena's structures"""

import gdb
import gdb.printing

from .heap import (FLAVOURS, ROW_IN_USE, ROW_LARGE, ROW_OFFSET_ESCAPE, STATES, library_type,
                   text_of)


class RefPrinter:
    """A REF field is the pointer in it."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """gdb calls it."""
        pointer = self.value["gca_raw"]
        return "(%s) %#x" % (pointer.type, int(pointer))


class WeakPrinter:
    """A weak reference and its target."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """gdb calls it."""
        target = int(self.value["target"])
        return "weak -> %#x" % target if target else "weak, cleared"


class EphemeronPrinter:
    """An ephemeron's key and value."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """gdb calls it."""
        key = int(self.value["key"])
        return "%#x => %#x" % (key, int(self.value["value"])) if key else "ephemeron, cleared"


class RowPrinter:
    """A row of the span table."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """gdb calls it."""
        word0, word1 = int(self.value["word0"]), int(self.value["word1"])
        if not word0 & ROW_IN_USE:
            return "free page"
        offset = word0 >> 16 & 0xffff
        text = "span class %d, %s" % (word0 & 0xffff, "large" if word0 & ROW_LARGE else "small")
        if offset == ROW_OFFSET_ESCAPE:
            return text + ", of the span at page %d" % (word1 & 0xffffffff)
        if offset:
            return text + ", page %d of its span" % offset
        return text + ", first of %d pages, %s, generation %d" % (
            word1 >> 4 & 0xfffffff, STATES[word1 & 7], word1 >> 32)


class KindPrinter:
    """A kind by its name and size."""

    def __init__(self, value):
        self.value = value

    def to_string(self):
        """gdb calls it."""
        value = self.value
        if value.type.strip_typedefs().tag == "gca_kind":
            value = value.address.cast(library_type("kind").pointer()).dereference()
        name = text_of(value["name"])
        return "kind %d \"%s\", %d bytes, %s" % (
            int(value["abi"]["id"]), name, int(value["abi"]["size"]),
            FLAVOURS[int(value["abi"]["flavour"]) % 4])


class Printers(gdb.printing.PrettyPrinter):
    """The printer for a value, by its structure."""

    BY_TAG = {
        "gca_kind": KindPrinter, "kind": KindPrinter, "gca_weak": WeakPrinter,
        "gca_ephemeron": EphemeronPrinter, "gcarena_row": RowPrinter,
    }

    def __init__(self):
        super().__init__("gcarena")

    def __call__(self, value):
        kind = value.type.strip_typedefs().unqualified()
        if kind.code != gdb.TYPE_CODE_STRUCT:
            return None
        fields = kind.fields()
        if len(fields) == 1 and fields[0].name == "gca_raw":
            return RefPrinter(value)
        printer = self.BY_TAG.get(kind.tag)
        # A program's "struct kind", or a structure that is only declared, is not ours.
        if not printer or not fields or (kind.tag == "kind" and fields[0].name != "abi"):
            return None
        return printer(value)
