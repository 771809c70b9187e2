# SPDX-License-Identifier: MIT
"""The targets of the comparison, and what records say about each.

A target is a figure of gcarena's over a peer's, or a figure of its own, with a bound.
It is judged for the largest case of its workload that was run; the median of the
rounds counts, pair by pair.  Where no record speaks of it, it is "not measured".
"""
import math
import statistics

from harness import words_of

AT_MOST, AT_LEAST = "<=", ">="
# No target: what the machine itself gives, of the same run, beside the target before it.
FLOOR = "floor"
MALLOCS = ("glibc", "jemalloc", "mimalloc")
MIB = 1024  # KiB
# A worst stop is flat when it does not grow by more, over the live sets that were run.
FLAT = 1.5


class Result:
    """A target, measured: where, the value with its spread, and the verdict."""

    def __init__(self, group, text, where, values, relation, bound, stretch=False):
        self.group, self.text, self.where = group, text, where
        self.relation, self.bound, self.stretch = relation, bound, stretch
        self.values = [value for value in values if value is not None]
        self.value = statistics.median(self.values) if self.values else None

    @property
    def verdict(self):
        if self.value is None:
            return "not measured"
        if self.relation == FLOOR:
            return FLOOR
        met = self.value <= self.bound if self.relation == AT_MOST else self.value >= self.bound
        return "met" if met else "missed"

    def row(self):
        spread = ""
        if len(self.values) > 1:
            spread = f"{min(self.values):.2f} .. {max(self.values):.2f}"
        return [self.group, self.text + (" (stretch)" if self.stretch else ""), self.where,
                "-" if self.value is None else f"{self.value:.2f}", spread,
                "" if self.relation == FLOOR else f"{self.relation} {self.bound:.2f}",
                self.verdict]


HEADINGS = ["", "target", "case", "measured", "spread", "bound", ""]


class Judge:
    def __init__(self, figures):
        self.figures, self.results = figures, []

    def cases(self, workload, **wanted):
        return [case for case in self.figures.of(workload)
                if all(dict(case[1]).get(k) == v for k, v in wanted.items())]

    def largest(self, workload, metric, peer, **wanted):
        """The case with the greatest parameters that both sides ran."""
        cases = [case for case in self.cases(workload, **wanted)
                 if {"gcarena", peer} <= set(self.figures.peers(case, metric))]
        return max(cases, key=lambda case: [v for _, v in case[1] if isinstance(v, int)],
                   default=None)

    def add(self, group, text, case, values, relation, bound, stretch=False):
        self.results.append(Result(group, text, words_of(case) if case else "-", values,
                                   relation, bound, stretch))

    def over(self, group, workload, metric, peer, relation, bound, stretch=False, **wanted):
        """gcarena's figure over @peer's."""
        case = self.largest(workload, metric, peer, **wanted)
        values = self.figures.ratios(case, metric, "gcarena", peer) if case else []
        where = "" if case or workload != "alloc" else f" {wanted['what']} {wanted['size']}"
        self.add(group, f"{workload}{where}: {metric}, over {peer}'s", case, values, relation,
                 bound, stretch)

    def own(self, group, text, workload, value, relation, bound, stretch=False):
        """@value(figures) of one run of gcarena's, from its metrics by name."""
        case = self.largest(workload, "cpu", "gcarena")
        values = []
        for number in self.figures.peers(case, "cpu")["gcarena"] if case else []:
            run = {m: self.figures.peers(case, m).get("gcarena", {}).get(number)
                   for m in self.figures.metrics(case)}
            try:
                values.append(value(run))
            except (KeyError, TypeError):
                pass
        self.add(group, f"{workload}: {text}", case, values, relation, bound, stretch)

    def trees(self):
        for peer, bound, stretch in (("go", 0.35, False), ("bdwgc", 0.65, False),
                                     ("glibc", 0.9, False), ("mimalloc", 1.0, True)):
            self.over("1", "trees", "cpu", peer, AT_MOST, bound, stretch, threads=1)
        for peer, bound, stretch in (("go", 0.4, False), ("bdwgc", 0.8, False),
                                     ("mimalloc", 1.0, True)):
            self.over("1", "gcbench", "cpu", peer, AT_MOST, bound, stretch)
        for workload in ("trees", "gcbench"):
            self.over("1", workload, "peak", "go", AT_MOST, 1.0)

    def mutate(self):
        self.over("2", "mutate", "cpu", "go", AT_MOST, 0.45)
        self.over("2", "mutate", "cpu", "glibc", AT_MOST, 1.2, True)
        self.over("2", "mutate", "batch_p999", "go", AT_MOST, 1 / 3)

    def connections(self):
        self.over("3", "connections", "ops", "go", AT_LEAST, 1.0)
        self.over("3", "connections", "ops", "glibc", AT_LEAST, 0.8)
        self.own("3", "peak over twice the live bytes", "connections",
                 lambda run: run["peak"] / (2 * run["live"]), AT_MOST, 1.25)
        self.own("3", "resident a second after the drop, over the larger of 5 % of the peak "
                 "and 8 MiB", "connections",
                 lambda run: run["resident_dropped_1s"] / max(run["peak"] / 20, 8 * MIB),
                 AT_MOST, 1.0)

    def fragment(self):
        self.own("4", "resident over live, 2 s after the collection", "fragment",
                 lambda run: run["resident_over_live_later"], AT_MOST, 2.45)
        self.own("4", "the same after the release", "fragment",
                 lambda run: run["resident_over_live_released"], AT_MOST, 2.15)
        self.own("4", "the same, with release inside spans", "fragment",
                 lambda run: run["resident_over_live_inside"], AT_MOST, 1.9)

    def alloc(self):
        # As the largest count does not matter, each size is a target of its own.
        kinds = {(dict(case[1])["what"], dict(case[1])["size"]): case
                 for case in self.cases("alloc")}
        for what, size in kinds:
            self.over("5", "alloc", "cpu", "go", AT_MOST, 0.3, what=what, size=size)
            if what == "node":
                continue
            self.over("5", "alloc", "instructions", "jemalloc", AT_MOST, 1.0, what=what, size=size)
            case = self.largest("alloc", "cpu", "glibc", what=what, size=size)
            if not case:
                continue
            best = min(MALLOCS, key=lambda p: self.figures.median(case, "cpu", p) or math.inf)
            self.over("5", "alloc", "cpu", best, AT_MOST, 1.0, True, what=what, size=size)

    def limit(self):
        for workload in ("limit", "confined"):
            self.over("6", workload, "completed", "go", AT_LEAST, 1.0)
            self.over("6", workload, "gc_cpu", "go", AT_MOST, 0.7)

    def exponent(self, cases, metric):
        """Of a cost an object by the live set: 1 when twice the objects cost twice as much."""
        points = [(dict(case[1])["mib"], self.figures.median(case, metric, "gcarena"))
                  for case in cases]
        points = [(math.log(mib), math.log(mib * cost)) for mib, cost in points if cost]
        if len(points) < 2:
            return []
        mx, my = (statistics.mean(values) for values in zip(*points))
        return [sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)]

    def scale(self):
        cases = sorted(self.cases("scale"), key=lambda case: dict(case[1])["mib"])
        case = cases[-1] if cases else None
        stops = [stop for stop in (self.figures.median(c, "stop_max", "gcarena") for c in cases)
                 if stop]

        def each(figure, peer, other, other_peer):
            """Of the largest case's rounds: @figure of @peer over @other of @other_peer."""
            mine = self.figures.peers(case, figure).get(peer, {}) if case else {}
            theirs = self.figures.peers(case, other).get(other_peer, {}) if case else {}
            return [mine[i] / theirs[i] for i in mine if theirs.get(i)]

        self.add("7", "scale: exponent of a cycle's CPU by the live set", case,
                 self.exponent(cases, "cycle"), AT_MOST, 1.05)
        self.add("7", "scale: exponent of the chase over the same graphs", case,
                 self.exponent(cases, "chase"), FLOOR, None)
        self.add("7", "scale: worst stop, largest over smallest live set", case,
                 [stops[-1] / stops[0]] if len(stops) > 1 else [], AT_MOST, FLAT)
        self.add("7", "scale: a cycle's throughput on one core, over the chase's", case,
                 each("chase", "gcarena-1", "cycle", "gcarena-1"), AT_LEAST, 0.5)
        self.add("7", "scale: a cycle with one marker over one with all, on the clock", case,
                 each("cycle_wall", "gcarena-1", "cycle_wall", "gcarena"), AT_LEAST, 1.7)
        self.add("7", "scale: the chase by one thread over that by two, on the clock", case,
                 each("chase_wall", "gcarena", "chase_both_wall", "gcarena"), FLOOR, None)

    def guest(self):
        for case in self.figures.cases:
            values = self.figures.ratios(case, "guest_instructions", "device", "process")
            if values:
                self.add("8", f"{case[0]}: instructions on the device, over the process "
                         "backend's, in a guest", case, values, AT_MOST,
                         1.0 if case[0] == "backing" else 1.05)


def judge(figures):
    """The results of all targets, in the order of their numbers."""
    j = Judge(figures)
    j.trees()
    j.mutate()
    j.connections()
    j.fragment()
    j.alloc()
    j.limit()
    j.scale()
    j.guest()
    return j.results


def table(results):
    """As text; the width is that of what stands in it."""
    rows = [HEADINGS] + [result.row() for result in results]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    return "\n".join("  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip()
                     for row in rows)
