// SPDX-License-Identifier: MIT
//
// The program of all Go workloads: go WORKLOAD PARAMETER...; see c/bench.c, which
// says what a run prints.  Each workload does what the source of the same name in
// c/ does, in the same order of draws.
package main

import (
	"bufio"
	"fmt"
	"math/bits"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const batch = 64

var workloads = map[string]func(){
	"alloc":       runAlloc,
	"bursty":      runBursty,
	"confined":    runLimit,
	"connections": runConnections,
	"depgraph":    runDepgraph,
	"fragment":    runFragment,
	"gcbench":     runGcbench,
	"jitter":      runJitter,
	"large":       runLarge,
	"limit":       runLimit,
	"mutate":      runMutate,
	"percent":     runPercent,
	"scale":       runScale,
	"threads":     runThreads,
	"trees":       runTrees,
}

func die(what string) {
	fmt.Fprintln(os.Stderr, "bench:", what)
	os.Exit(1)
}

// number is the workload's parameter i.
func number(i int) uint64 {
	if i+2 >= len(os.Args) {
		die("a parameter is missing")
	}
	n, err := strconv.ParseUint(os.Args[i+2], 10, 63)
	if err != nil {
		die("a parameter is not a number that will do")
	}
	return n
}

func printSum(sum uint64) {
	fmt.Println("sum", sum)
}

func figure(name, unit string, value float64) {
	fmt.Printf("figure %s %s %.6g\n", name, unit, value)
}

func printOps(ops uint64, begin time.Time) {
	figure("ops", "1/s", float64(ops)/time.Since(begin).Seconds())
}

// readKiB is what a file of the kernel's says in KiB, by name.
func readKiB(path string) map[string]float64 {
	file, err := os.Open(path)
	if err != nil {
		die(err.Error())
	}
	defer file.Close()
	kib := map[string]float64{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 3 {
			kib[words[0]], _ = strconv.ParseFloat(words[1], 64)
		}
	}
	return kib
}

// memory prints what the process has at this moment.
func memory(when string, live uint64) {
	kib := readKiB("/proc/self/smaps_rollup")
	figure("resident_"+when, "KiB", kib["Pss:"])
	figure("huge_"+when, "KiB", kib["AnonHugePages:"]+kib["ShmemPmdMapped:"])
	if live != 0 {
		figure("resident_over_live_"+when, "1", kib["Pss:"]*1024/float64(live))
	}
}

type random uint64

func (r *random) draw() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

func (r *random) below(n uint64) uint64 {
	return (r.draw() >> 33) % n
}

func (r *random) size(least, doublings uint64) uint64 {
	base := least << r.below(doublings)
	return base + r.below(base)
}

// window is the one of its length that runs, and the progress of the worst, in batches
// a nanosecond.
type window struct {
	ns, count uint64
	worst     float64
}

func (w *window) worse(rate float64) {
	if rate > 0 && (w.worst == 0 || rate < w.worst) {
		w.worst = rate
	}
}

// laps is the histogram of batches: sixteen buckets to a power of two; and the worst
// windows of 1, 10 and 100 ms.
type laps struct {
	last    time.Time
	count   uint64
	ns      uint64
	worst   uint64
	windows [3]window
	buckets [1024]uint64
}

func (l *laps) begin() {
	l.last = time.Now()
}

func (l *laps) next() {
	now := time.Now()
	ns := uint64(now.Sub(l.last))
	l.last = now
	l.count++
	bucket := ns
	if ns >= 16 {
		log := uint64(bits.Len64(ns) - 1)
		bucket = (log-3)<<4 + ns>>(log-4)&15
	}
	l.buckets[bucket]++
	if ns > l.worst {
		l.worst = ns
	}
	l.ns += ns
	length := uint64(1000000)
	for i := range l.windows {
		w := &l.windows[i]
		w.ns += ns
		w.count++
		if w.ns >= length {
			w.worse(float64(w.count) / float64(w.ns))
			w.ns, w.count = 0, 0
		}
		length *= 10
	}
}

func (l *laps) add(from *laps) {
	l.count += from.count
	l.ns += from.ns
	for i := range l.windows {
		l.windows[i].worse(from.windows[i].worst)
	}
	if from.worst > l.worst {
		l.worst = from.worst
	}
	for i, n := range from.buckets {
		l.buckets[i] += n
	}
}

func (l *laps) quantile(q float64) float64 {
	seen, i := uint64(0), uint64(0)
	for ; i < uint64(len(l.buckets))-1; i++ {
		seen += l.buckets[i]
		if float64(seen) >= q*float64(l.count) {
			break
		}
	}
	ns := i
	if i >= 16 {
		ns = (16+i&15+1)<<(i>>4-1) - 1
	}
	if ns > l.worst {
		ns = l.worst
	}
	return float64(ns) / 1e3
}

func (l *laps) print() {
	figure("batch_p50", "us", l.quantile(0.5))
	figure("batch_p99", "us", l.quantile(0.99))
	figure("batch_p999", "us", l.quantile(0.999))
	figure("batch_max", "us", float64(l.worst)/1e3)
	for i, name := range [...]string{"progress_1ms", "progress_10ms", "progress_100ms"} {
		if l.windows[i].worst > 0 {
			figure(name, "1", l.windows[i].worst*float64(l.ns)/float64(l.count))
		}
	}
}

func collectorFigures(started time.Time) {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	figure("cycles", "1", float64(stats.NumGC))
	figure("gc_cpu", "s", stats.GCCPUFraction*time.Since(started).Seconds()*
		float64(runtime.GOMAXPROCS(0)))
	worst := uint64(0)
	for i := 0; i < len(stats.PauseNs) && i < int(stats.NumGC); i++ {
		if stats.PauseNs[i] > worst {
			worst = stats.PauseNs[i]
		}
	}
	figure("stop_max", "us", float64(worst)/1e3)
}

func release() {
	debug.FreeOSMemory()
}

func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		die(err.Error())
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func main() {
	started := time.Now()
	if len(os.Args) < 2 || workloads[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: go WORKLOAD PARAMETER...")
		os.Exit(2)
	}
	workloads[os.Args[1]]()
	kib := readKiB("/proc/self/smaps_rollup")
	figure("huge_share", "1", (kib["AnonHugePages:"]+kib["ShmemPmdMapped:"])/kib["Pss:"])
	collectorFigures(started)
	figure("peak", "KiB", readKiB("/proc/self/status")["VmHWM:"])
}
