// SPDX-License-Identifier: MIT
//
// The program of all Java workloads: java Bench WORKLOAD PARAMETER...; see c/bench.c,
// which says what a run prints.  Each workload does what the source of the same name
// in c/ does, in the same order of draws.
import java.io.File;
import java.io.IOException;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;

final class Bench {
    static final int BATCH = 64;
    private static String[] parameters;
    private static long state;

    static String word(int i) {
        if (i + 1 >= parameters.length)
            throw new IllegalArgumentException("a parameter is missing");
        return parameters[i + 1];
    }

    static long number(int i) {
        return Long.parseLong(word(i));
    }

    static void sum(long sum) {
        System.out.println("sum " + Long.toUnsignedString(sum));
    }

    static void figure(String name, String unit, double value) {
        System.out.println("figure " + name + " " + unit + " " + value);
    }

    static void ops(long ops, long begin) {
        figure("ops", "1/s", ops * 1e9 / (System.nanoTime() - begin));
    }

    static void seed(long seed) {
        state = seed;
    }

    static long draw() {
        long z = state += 0x9e3779b97f4a7c15L;

        z = (z ^ z >>> 30) * 0xbf58476d1ce4e5b9L;
        z = (z ^ z >>> 27) * 0x94d049bb133111ebL;
        return z ^ z >>> 31;
    }

    static int below(long n) {
        return (int) ((draw() >>> 33) % n);
    }

    static int size(int least, int doublings) {
        int base = least << below(doublings);

        return base + below(base);
    }

    static void sleep(long seconds) throws InterruptedException {
        Thread.sleep(seconds * 1000);
    }

    // Proportional set, and what of it is in huge pages, in KiB.
    private static double[] resident() throws IOException {
        double pss = 0, huge = 0;

        for (String line : Files.readAllLines(Path.of("/proc/self/smaps_rollup"))) {
            String[] words = line.trim().split(" +");

            if (words[0].equals("Pss:"))
                pss = Double.parseDouble(words[1]);
            else if (words[0].equals("AnonHugePages:") || words[0].equals("ShmemPmdMapped:"))
                huge += Double.parseDouble(words[1]);
        }
        return new double[] { pss, huge };
    }

    // What the process has at this moment.
    static void memory(String when, long live) throws IOException {
        double[] kib = resident();

        figure("resident_" + when, "KiB", kib[0]);
        figure("huge_" + when, "KiB", kib[1]);
        if (live != 0)
            figure("resident_over_live_" + when, "1", kib[0] * 1024 / live);
    }

    // The histogram of batches: sixteen buckets to a power of two; and the progress of
    // the worst windows of 1, 10 and 100 ms, in batches a nanosecond.
    static final class Laps {
        private static final int WINDOWS = 3;
        private final long[] buckets = new long[1024];
        private final long[] windowNs = new long[WINDOWS], windowCount = new long[WINDOWS];
        private final double[] windowWorst = new double[WINDOWS];
        private long last, count, total, worst;

        void begin() {
            last = System.nanoTime();
        }

        void next() {
            long now = System.nanoTime(), ns = now - last, bucket = ns;

            last = now;
            count++;
            if (ns >= 16) {
                int log = 63 - Long.numberOfLeadingZeros(ns);

                bucket = ((log - 3) << 4) + (ns >> (log - 4) & 15);
            }
            buckets[(int) bucket]++;
            worst = Math.max(worst, ns);
            total += ns;
            long length = 1000000;

            for (int i = 0; i < WINDOWS; i++, length *= 10) {
                windowNs[i] += ns;
                windowCount[i]++;
                if (windowNs[i] < length)
                    continue;
                worse(i, (double) windowCount[i] / windowNs[i]);
                windowNs[i] = windowCount[i] = 0;
            }
        }

        private void worse(int i, double rate) {
            if (rate > 0 && (windowWorst[i] == 0 || rate < windowWorst[i]))
                windowWorst[i] = rate;
        }

        void add(Laps from) {
            count += from.count;
            total += from.total;
            for (int i = 0; i < WINDOWS; i++)
                worse(i, from.windowWorst[i]);
            worst = Math.max(worst, from.worst);
            for (int i = 0; i < buckets.length; i++)
                buckets[i] += from.buckets[i];
        }

        private double quantile(double q) {
            long seen = 0;
            int i = 0;

            for (; i < buckets.length - 1; i++) {
                seen += buckets[i];
                if (seen >= q * count)
                    break;
            }
            return Math.min(worst, i < 16 ? i : ((16L + (i & 15) + 1) << ((i >> 4) - 1)) - 1) / 1e3;
        }

        void print() {
            figure("batch_p50", "us", quantile(0.5));
            figure("batch_p99", "us", quantile(0.99));
            figure("batch_p999", "us", quantile(0.999));
            figure("batch_max", "us", worst / 1e3);
            for (int i = 0; i < WINDOWS; i++)
                if (windowWorst[i] > 0)
                    figure("progress_" + (int) Math.pow(10, i) + "ms", "1",
                        windowWorst[i] * total / count);
        }
    }

    // CPU time of one thread, if it is one that collects, by its name.
    static long collectorNs(File task) throws IOException {
        try {
            String name = Files.readString(task.toPath().resolve("comm"));

            if (!name.matches("(?s)(GC |G1 |VM Thread|Z[A-Z]|Shenandoah).*"))
                return 0;
            return Long.parseLong(Files.readString(task.toPath().resolve("schedstat"))
                .split(" ")[0]);
        } catch (IOException e) {
            // A thread that was joined may still be listed, and gone when it is read.
            if (task.exists())
                throw e;
            return 0;
        }
    }

    private static void collectorFigures() throws IOException {
        long cycles = 0, ns = 0;

        for (GarbageCollectorMXBean bean : ManagementFactory.getGarbageCollectorMXBeans())
            cycles += Math.max(0, bean.getCollectionCount());
        for (File task : new File("/proc/self/task").listFiles())
            ns += collectorNs(task);
        figure("cycles", "1", cycles);
        figure("gc_cpu", "s", ns / 1e9);
    }

    public static void main(String[] args) throws Exception {
        parameters = args;
        switch (args.length > 0 ? args[0] : "") {
        case "alloc":
            Alloc.run();
            break;
        case "bursty":
            Paced.run();
            break;
        case "confined":
            Limit.run();
            break;
        case "connections":
            Connections.run();
            break;
        case "depgraph":
            Depgraph.run();
            break;
        case "fragment":
            Fragment.run();
            break;
        case "gcbench":
            Gcbench.run();
            break;
        case "jitter":
            Large.jitter();
            break;
        case "large":
            Large.run();
            break;
        case "limit":
            Limit.run();
            break;
        case "mutate":
            Mutate.run();
            break;
        case "scale":
            Scale.run();
            break;
        case "threads":
            Threads.run();
            break;
        case "trees":
            Trees.run();
            break;
        default:
            System.err.println("usage: java Bench WORKLOAD PARAMETER...");
            System.exit(2);
        }
        double[] kib = resident();

        figure("huge_share", "1", kib[1] / kib[0]);
        collectorFigures();
    }
}
