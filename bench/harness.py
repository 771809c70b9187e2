# SPDX-License-Identifier: MIT
"""What bench/run, bench/report and bench/check share.

The peers and how each is started, the table of sizes, one measured run, and the
records: reading, writing and judging them.  A record is one figure of one run:

    workload, parameters (an object), peer, metric, unit, value, run (when the whole
    was started), round (of the case), machine (its state at that moment)
"""
import ctypes
import glob
import json
import math
import mmap
import os
import platform
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PROGRAMS = os.path.join(ROOT, "build", "bench", "peers")
OUT = os.path.join(ROOT, "bench", "out")
RESULTS = os.path.join(OUT, "results.jsonl")
SIZES = os.path.join(ROOT, "bench", "sizes")
LIBRARIES = "/usr/lib/x86_64-linux-gnu"
JAVA = "/usr/lib/jvm/java-17-openjdk-amd64/bin/java"

# A run that takes longer hangs.
RUN_SECONDS = 900
# A virtual machine's memory is asked for so often; the others say their peak, which
# the kernel keeps.
SAMPLE_SECONDS = 0.05
# What the machine has ready for each run, where the table of sizes says nothing else.
READY_MIB = 128
HUGE_PAGE = 2 << 20
# More CPUs than this in other people's use, on average of a run: its times are of a
# machine that is not idle.
BUSY = 0.1
PR_SET_PDEATHSIG = 1

# Lengths of the two runs whose difference gives the instructions of one operation.
SHORT, LONG = 500_000, 1_500_000

PARAMETERS = {
    "alloc": ("what", "size", "count"),
    "backing": ("how", "mib"),
    "bursty": ("nodes", "ticks", "rate"),
    "confined": ("mib", "operations"),
    "connections": ("count", "operations", "seconds"),
    "depgraph": ("packages", "queries"),
    "fragment": ("phases", "objects", "seconds"),
    "gcbench": ("depth",),
    "jitter": ("slots", "steps"),
    "large": ("slots", "operations"),
    "limit": ("mib", "operations"),
    "mutate": ("nodes", "steps"),
    "percent": ("percent", "nodes", "ticks", "rate"),
    "scale": ("mib", "cycles"),
    "store": ("how", "count"),
    "threads": ("threads", "operations"),
    "trees": ("depth", "threads"),
}
# Of these the flushing of the barrier's buffer is counted apart.
APART = {"store": "gca_shade_flush"}

RECORD = {"workload": str, "parameters": dict, "peer": str, "metric": str, "unit": str,
          "value": (int, float), "run": str, "round": int, "machine": dict}


LIBC = ctypes.CDLL(None)


class BenchError(Exception):
    """The comparison is not to be trusted, and why."""


class PeerError(BenchError):
    """One peer did not do its part; the others may."""


class Peer:
    """One heap: its program, what goes before it and into its environment."""

    def __init__(self, name, program, preload=None, java=(), environment=None):
        self.name, self.program, self.preload, self.java = name, program, preload, java
        self.environment = environment or {}

    def path(self, programs):
        return os.path.join(programs, self.program)

    def command(self, programs, case):
        if self.java:
            most = heap_mib(case)
            if case.workload == "confined":
                # A virtual machine needs more than others beside its heap.
                most = most * 5 // 6
            return [JAVA, *self.java, *([f"-Xmx{most}m"] if most else []), "-cp",
                    os.path.dirname(self.path(programs)), "Bench", case.workload, *case.words]
        return [self.path(programs), case.workload, *case.words]

    def missing(self, programs):
        """What is not there of it, or None."""
        for file in (self.path(programs), self.preload, JAVA if self.java else None):
            if file and not os.path.exists(file):
                return file
        return None

    def env(self, case):
        env = {**os.environ, "GCARENA_BACKEND": "process", **self.environment}
        if self.preload:
            env["LD_PRELOAD"] = self.preload
        if case.workload == "percent":
            env["GCARENA_PERCENT"] = env["GOGC"] = case.words[0]
        most = heap_mib(case)
        if most:
            env["GCARENA_LIMIT"] = env["GOMEMLIMIT"] = f"{most}MiB"
            env["GC_MAXIMUM_HEAP_SIZE"] = str(most << 20)
        return env


def heap_mib(case):
    """What a heap is told as its limit, or None: of a control group's nine tenths."""
    if case.workload == "limit":
        return int(case.words[0])
    return int(case.words[0]) * 9 // 10 if case.workload == "confined" else None


def jvm(name, *options):
    return Peer(name, "java/Bench.class", java=options)


PEERS = {peer.name: peer for peer in (
    Peer("gcarena", "gcarena"),
    # With one thread that marks.
    Peer("gcarena-1", "gcarena", environment={"GCARENA_WORKERS": "1"}),
    # Those two in a guest, by bench/guest.
    Peer("device", "gcarena", environment={"GCARENA_BACKEND": "device"}),
    Peer("process", "gcarena"),
    Peer("glibc", "malloc"),
    Peer("jemalloc", "malloc", preload=LIBRARIES + "/libjemalloc.so.2"),
    Peer("mimalloc", "malloc", preload=LIBRARIES + "/libmimalloc.so.2.0"),
    Peer("bdwgc", "bdwgc"),
    Peer("go", "go"),
    jvm("serial", "-XX:+UseSerialGC"),
    jvm("parallel", "-XX:+UseParallelGC"),
    jvm("g1", "-XX:+UseG1GC"),
    jvm("zgc", "-XX:+UseZGC"),
    jvm("shenandoah", "-XX:+UseShenandoahGC"),
)}
GROUPS = {"c": ["gcarena", "glibc", "jemalloc", "mimalloc", "bdwgc"]}


class Case:
    """A workload with parameters, who runs it how often, and memory made ready for each run."""

    def __init__(self, workload, words, peers=(), rounds=1, counted=False, ready=READY_MIB):
        self.workload, self.words, self.peers = workload, list(words), list(peers)
        self.rounds, self.counted, self.ready = rounds, counted, ready

    def __str__(self):
        return " ".join([self.workload, *self.words])

    def parameters(self):
        values = [int(word) if word.isdigit() else word for word in self.words]
        named = dict(zip(PARAMETERS[self.workload], values))
        if "N" in self.words:
            del named["count"]
        return named

    def with_count(self, count):
        return Case(self.workload, [str(count) if w == "N" else w for w in self.words])


def read_sizes(which, path=SIZES):
    """The cases of the set named @which."""
    cases, sets = [], set()
    with open(path) as file:
        for number, line in enumerate(file, 1):
            line = line.split("#")[0].strip()
            if not line:
                continue
            left, slash, right = line.partition("/")
            words = left.split()
            counted = len(words) > 1 and words[1] == "instructions"
            if not slash or len(words) < 4 or words[2] not in PARAMETERS or \
                    len(words) - 3 != len(PARAMETERS[words[2]]) or \
                    not (counted or words[1].isdigit()):
                raise BenchError(f"{path}:{number}: not SET ROUNDS WORKLOAD PARAMETER... / "
                                 "PEER... [@MIB]")
            right, at, ready = right.partition("@")
            if at and not ready.strip().isdigit():
                raise BenchError(f"{path}:{number}: '@{ready.strip()}' is no number of MiB")
            peers = [p for word in right.split() for p in GROUPS.get(word, [word])]
            for peer in peers:
                if peer not in PEERS:
                    raise BenchError(f"{path}:{number}: no peer '{peer}': {', '.join(PEERS)}")
            sets.add(words[0])
            if words[0] == which:
                cases.append(Case(words[2], words[3:], peers,
                                  1 if counted else int(words[1]), counted,
                                  int(ready) if at else READY_MIB))
    if not cases:
        raise BenchError(f"{path}: no set '{which}': {', '.join(sorted(sets))}")
    return cases


# ------------------------------------------------------------- measuring

def make_ready(mib):
    """Lets the machine have @mib of free memory at hand; what their first touch took before.

    The host of a virtual machine takes memory back that has been free for a while (free
    page reporting), and gives it again at the first touch, which then takes some twenty
    times as long.  Whoever runs first after a pause would pay for that.  At most half of
    what is free.
    """
    free = re.search(r"^MemAvailable:\s+(\d+)", contents("/proc/meminfo") or "", re.M)
    size = min(mib << 20, (int(free.group(1)) << 9) if free else 0)
    if size < HUGE_PAGE:
        return 0.0
    with mmap.mmap(-1, size + HUGE_PAGE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            pass
        begin = time.process_time()
        for at in range(0, size, mmap.PAGESIZE):
            memory[at] = 1
        return (time.process_time() - begin) * 1e9 / (size / 64)


def memory_kib(pid):
    """Proportional set: shared memory once, however often it is mapped."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as file:
            return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M).group(1))
    except (OSError, AttributeError):
        return 0


class Group:
    """A control group with a memory limit, for one run: in our own, or the nearest above."""

    def __init__(self, mib):
        self.path = None
        for above in self.places():
            path = os.path.join(above, f"gcarena-bench-{os.getpid()}")
            for old in glob.glob(os.path.join(above, "gcarena-bench-*")):
                if not os.path.exists(f"/proc/{old.rpartition('-')[2]}"):
                    self.remove(old)
            try:
                os.mkdir(path)
            except OSError:
                continue
            for name in ("memory.max", "memory.limit_in_bytes"):
                try:
                    with open(os.path.join(path, name), "w") as file:
                        file.write(str(mib << 20))
                    self.path = path
                    return
                except OSError:
                    pass
            self.remove(path)

    @staticmethod
    def places():
        """Directories of our group and those above it, of either version."""
        groups, mounts = contents("/proc/self/cgroup") or "", contents("/proc/mounts") or ""
        for line in groups.splitlines():
            _, controllers, group = line.split(":", 2)
            for mount in mounts.splitlines():
                _, at, kind, options = mount.split()[:4]
                if kind != ("cgroup" if controllers else "cgroup2") or \
                        (controllers and ("memory" not in controllers.split(",") or
                                          "memory" not in options.split(","))):
                    continue
                while group:
                    yield at + group
                    group = "" if group == "/" else os.path.dirname(group)

    def peak(self):
        """The most that it held, in bytes, where the kernel says."""
        for name in ("memory.peak", "memory.max_usage_in_bytes"):
            if (value := contents(os.path.join(self.path, name))):
                return int(value)
        return math.inf

    @staticmethod
    def remove(path):
        try:
            os.rmdir(path)
        except OSError:
            pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        if self.path:
            self.remove(self.path)


def start(command, env, group=None):
    """The program, which does not outlive us, in @group's limit if there is one."""
    def in_child():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if group:
            with open(os.path.join(group.path, "cgroup.procs"), "w") as file:
                file.write("0")

    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env,
                            preexec_fn=in_child)


def ticks():
    """CPU time of the whole machine that was not idle, in seconds."""
    words = (contents("/proc/stat") or "cpu 0").split("\n")[0].split()[1:9]
    used = [int(word) for i, word in enumerate(words) if i not in (3, 4)]
    return sum(used) / os.sysconf("SC_CLK_TCK")


def measure(case, peer, programs):
    """One run: its sum, and figures by name: (unit, value)."""
    if case.workload != "confined":
        return measure_in(case, peer, programs, None)
    with Group(int(case.words[0])) as group:
        if not group.path:
            raise PeerError(f"{case}: {peer.name}: no control group for memory can be made here")
        try:
            result = measure_in(case, peer, programs, group)
        finally:
            # What the workload keeps alive is more than that: see bench/c/limit.c.
            held = group.peak() >= int(case.words[0]) << 19
        if not held:
            raise PeerError(f"{case}: {peer.name}: no control group holds here: "
                            "something moved the program out of its own")
        return result


def measure_in(case, peer, programs, group):
    touch = make_ready(case.ready)
    begin, others = time.monotonic(), ticks() - own_cpu()
    try:
        child = start(peer.command(programs, case), peer.env(case), group)
    except (OSError, subprocess.SubprocessError) as error:
        raise PeerError(f"{case}: {peer.name}: {error}") from error
    timer = threading.Timer(RUN_SECONDS, child.kill)
    timer.start()
    peak, ended = 0, threading.Event()

    def sample():
        nonlocal peak
        while not ended.wait(SAMPLE_SECONDS):
            peak = max(peak, memory_kib(child.pid))

    sampler = threading.Thread(target=sample) if peer.java else None
    if sampler:
        sampler.start()
    try:
        text = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
    except BaseException:
        child.kill()
        raise
    finally:
        child.stdout.close()
        ended.set()
        timer.cancel()
        if sampler:
            sampler.join()
    child.returncode = os.waitstatus_to_exitcode(status)
    wall = time.monotonic() - begin
    figures = {
        "cpu": ("s", usage.ru_utime + usage.ru_stime),
        # Of that the kernel's, which is mostly first touch of memory.
        "sys": ("s", usage.ru_stime),
        "wall": ("s", wall),
        "others": ("CPUs", max(0, ticks() - own_cpu() - others) / wall),
        # Of the memory that was made ready, before: what a run would have paid without.
        "touch_before": ("ns/64 B", touch),
    }
    if child.returncode:
        if group and child.returncode == -signal.SIGKILL and wall < RUN_SECONDS:
            # The kernel's answer to more than the group may have.
            return "none", {**figures, "completed": ("1", 0)}
        raise PeerError(f"{case}: {peer.name} failed, {ending(child.returncode, wall)}")
    if peer.java:
        figures["peak"] = ("KiB", peak)
    total = read_output(f"{case}: {peer.name}", text, figures)
    if "gc_cpu" in figures and figures["cpu"][1]:
        figures["gc_share"] = ("1", figures["gc_cpu"][1] / figures["cpu"][1])
    return total, figures


def own_cpu():
    """Of this program and the children that it waited for, in seconds."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def ending(status, wall):
    """How a program ended, in words."""
    if status > 0:
        return f"status {status}"
    if status == -signal.SIGKILL and wall >= RUN_SECONDS:
        return f"killed: it ran for {RUN_SECONDS} s"
    hint = ": out of memory? (dmesg)" if status == -signal.SIGKILL else ""
    return f"killed by {signal.Signals(-status).name}{hint}"


def read_output(who, text, figures):
    """The sum that a run printed; what it measured goes to @figures."""
    total = None
    for line in text.splitlines():
        words = line.split()
        if len(words) == 2 and words[0] == "sum":
            total = words[1]
        elif len(words) == 4 and words[0] == "figure":
            figures[words[1]] = (words[2], float(words[3]))
        else:
            raise PeerError(f"{who} printed '{line}'")
    if total is None:
        raise PeerError(f"{who} printed no sum")
    return total


def collected(case, peer, programs, only=None):
    """Instructions of a run, of all threads; or of one function and what it calls."""
    arguments = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null"]
    if only:
        arguments.append("--toggle-collect=" + only)
    # The profile of waits is by time, of which there is too much under callgrind.
    env = {**peer.env(case), "GCARENA_PROFILE": "wait=0"}
    run = subprocess.run([*arguments, *peer.command(programs, case)], capture_output=True,
                         text=True, env=env, check=False)
    found = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode or not found:
        raise PeerError(f"{case}: {peer.name} under callgrind failed:\n{run.stderr[-2000:]}")
    return int(found.group(1))


def instructions(case, peer, programs):
    """Of one operation, as start and end of the program cancel out; or of a whole run."""
    if "N" not in case.words:
        return {"instructions_run": ("1", collected(case, peer, programs))}
    short, long = case.with_count(SHORT), case.with_count(LONG)

    def each(only=None):
        return (collected(long, peer, programs, only) -
                collected(short, peer, programs, only)) / (LONG - SHORT)

    total = each()
    if case.workload not in APART:
        return {"instructions": ("1/op", total)}
    flush = each(APART[case.workload])
    return {"instructions": ("1/op", total - flush), "flush": ("1/op", flush)}


# --------------------------------------------------------------- machine

def first_line(*command):
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return (run.stdout + run.stderr).splitlines()[0] if run.stdout or run.stderr else None


def contents(path):
    try:
        with open(path) as file:
            return file.read().strip()
    except OSError:
        return None


def versions():
    wanted = ("libc6", "libjemalloc2", "libmimalloc2.0", "libgc-dev", "valgrind",
              "openjdk-17-jre-headless")
    found = {}
    for package in wanted:
        version = first_line("dpkg-query", "-W", "-f", "${Version}", package)
        if version and "no packages" not in version:
            found[package] = version
    found["cc"] = first_line("cc", "--version")
    found["go"] = first_line("go", "version")
    found["gcarena"] = first_line("git", "-C", ROOT, "describe", "--always", "--dirty")
    return found


def machine_once():
    """What does not change during a run."""
    model = re.search(r"model name\s*: (.*)", contents("/proc/cpuinfo") or "")
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cpus": os.cpu_count(),
        "governor": contents("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor") or "none",
        "huge_pages": contents("/sys/kernel/mm/transparent_hugepage/enabled"),
        "kernel": platform.release(),
        "versions": versions(),
    }


# --------------------------------------------------------------- records

class Recorder:
    """Appends records, and keeps those of this run; @resume: the last one in the file."""

    def __init__(self, path, resume=False):
        self.path = path
        self.records = read_records(path) if resume else []
        self.run = self.records[0]["run"] if resume else time.strftime("%Y-%m-%dT%H:%M:%S")
        self.machine = machine_once()
        try:
            os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)
            self.file = open(path, "a+b", buffering=0)
            self.cut()
        except OSError as error:
            raise BenchError(str(error)) from error

    def cut(self):
        """Takes away a line of which only the beginning was written."""
        end = self.file.seek(0, os.SEEK_END)
        self.file.seek(0)
        whole = self.file.read().rfind(b"\n") + 1
        if whole < end:
            self.file.truncate(whole)

    def has(self, case, peer, number):
        wanted = (case.workload, case.parameters(), peer, number)
        return wanted in ((r["workload"], r["parameters"], r["peer"], r["round"])
                          for r in self.records)

    def add(self, case, peer, number, figures):
        machine = {**self.machine, "load": os.getloadavg()[0]}
        records = [{"workload": case.workload, "parameters": case.parameters(),
                    "peer": peer.name, "metric": metric, "unit": unit, "value": value,
                    "run": self.run, "round": number, "machine": machine}
                   for metric, (unit, value) in figures.items()]
        lines = "".join(json.dumps(record) + "\n" for record in records).encode()
        try:
            # All of a run or nothing, so that --resume may go by any of it.
            at = self.file.seek(0, os.SEEK_END)
            if self.file.write(lines) != len(lines):
                self.file.truncate(at)
                raise BenchError(f"{self.path}: no room for more; make some, then --resume")
        except OSError as error:
            raise BenchError(f"{self.path}: {error}; then --resume") from error
        self.records += records


def read_records(path, run=None):
    """The records of one run, the last in the file unless another is named."""
    records = []
    try:
        with open(path) as file:
            for number, line in enumerate(file, 1):
                if not line.endswith("\n"):
                    break  # a run was killed as it wrote
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise BenchError(f"{path}:{number}: {error}") from error
                fault = record_fault(record)
                if fault:
                    raise BenchError(f"{path}:{number}: {fault}")
                records.append(record)
    except OSError as error:
        raise BenchError(str(error)) from error
    run = run or (records[-1]["run"] if records else None)
    records = [record for record in records if record["run"] == run]
    if not records:
        raise BenchError(f"{path}: no records" + (f" of run {run}" if run else ""))
    return records


def record_fault(record):
    """What is wrong with a record, or None."""
    if not isinstance(record, dict):
        return "not an object"
    for name, kind in RECORD.items():
        if not isinstance(record.get(name), kind):
            return f"'{name}' is missing or of the wrong type"
    if len(record) != len(RECORD):
        return "has more fields than a record has"
    if record["peer"] not in PEERS or record["workload"] not in PARAMETERS:
        return f"no such peer or workload: {record['peer']}, {record['workload']}"
    if not {"load", "cpu", "cpus", "governor", "kernel", "versions"} <= set(record["machine"]):
        return "the machine's state is not complete"
    return None


class Figures:
    """Values of many records by (workload, parameters), metric, peer and round."""

    def __init__(self, records):
        self.values, self.units, self.cases = {}, {}, []
        for record in records:
            case = (record["workload"], tuple(record["parameters"].items()))
            if case not in self.cases:
                self.cases.append(case)
            self.units[record["metric"]] = record["unit"]
            self.values.setdefault((case, record["metric"]), {}).setdefault(
                record["peer"], {})[record["round"]] = record["value"]

    def of(self, workload):
        return [case for case in self.cases if case[0] == workload]

    def metrics(self, case):
        return [metric for key, metric in self.values if key == case]

    def peers(self, case, metric):
        return self.values.get((case, metric), {})

    def all(self, case, metric, peer):
        return list(self.peers(case, metric).get(peer, {}).values())

    def median(self, case, metric, peer):
        values = self.all(case, metric, peer)
        return statistics.median(values) if values else None

    def ratios(self, case, metric, peer, other):
        """Pair by pair: of those runs that stood beside each other."""
        mine, theirs = (self.peers(case, metric).get(name, {}) for name in (peer, other))
        return [mine[i] / theirs[i] for i in mine if theirs.get(i)]


def words_of(case):
    return " ".join([case[0], *(str(value) for _, value in case[1])])


def busy_words(records):
    """A warning when others were at work on the machine, or None."""
    others = [record["value"] for record in records if record["metric"] == "others"]
    median = statistics.median(others) if others else 0
    if median <= BUSY:
        return None
    return (f"THE MACHINE WAS BUSY: others used {median:.1f} CPUs (median of the runs, at most "
            f"{max(others):.1f}); times on the clock are not to be trusted, ratios of CPU time "
            "less than on an idle one")


def main(function):
    """Runs @function; a BenchError is a sentence and a status."""
    def stop(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        sys.exit(function())
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
