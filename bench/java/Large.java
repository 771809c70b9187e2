// SPDX-License-Identifier: MIT
//
// large and jitter: the same work as large.c.
final class Large {
    private static final int LEAST = 33 << 10, DOUBLINGS = 8, PAGE = 4096, SMALL_SLOTS = 4096;
    private static final int BUFFER_EVERY = 16, COLLECT_EVERY_MS = 20;

    private static final class Crumb {
        Crumb next;
        long a, b, c, d, e, f;
        long value;
    }

    private static volatile boolean quit;

    private static long fresh(byte[][] table, int slot, int size) {
        byte[] buffer;
        long sum = 0;

        table[slot] = null;
        buffer = new byte[size];
        for (int i = 0; i < size; i += PAGE) {
            sum += buffer[i];
            buffer[i] = 1;
        }
        table[slot] = buffer;
        return sum + size;
    }

    static void run() {
        int slots = (int) Bench.number(0);
        long operations = Bench.number(1), sum = 0, begin = System.nanoTime();
        byte[][] table = new byte[slots][];
        Bench.Laps laps = new Bench.Laps();

        Bench.seed(4);
        laps.begin();
        for (long i = 0; i < operations; i++) {
            int size = Bench.size(LEAST, DOUBLINGS);

            sum += fresh(table, Bench.below(slots), size);
            if (i % Bench.BATCH == Bench.BATCH - 1)
                laps.next();
        }
        Bench.ops(operations, begin);
        laps.print();
        Bench.sum(sum);
    }

    private static void collect() {
        try {
            while (!quit) {
                System.gc();
                Thread.sleep(COLLECT_EVERY_MS);
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    static void jitter() throws InterruptedException {
        int slots = (int) Bench.number(0);
        long steps = Bench.number(1), sum = 0, begin;
        byte[][] table = new byte[slots][];
        Crumb[] small = new Crumb[SMALL_SLOTS];
        Bench.Laps laps = new Bench.Laps();
        Thread collector = new Thread(Large::collect);

        Bench.seed(5);
        collector.start();
        begin = System.nanoTime();
        laps.begin();
        for (long i = 0; i < steps; i++) {
            Crumb crumb = new Crumb();
            int slot = Bench.below(SMALL_SLOTS);

            crumb.value = i;
            if (small[slot] != null)
                sum += small[slot].value;
            small[slot] = crumb;
            if (i % BUFFER_EVERY == 0)
                sum += fresh(table, Bench.below(slots), LEAST);
            if (i % Bench.BATCH == Bench.BATCH - 1)
                laps.next();
        }
        Bench.ops(steps, begin);
        laps.print();
        Bench.sum(sum);
        quit = true;
        collector.join();
    }
}
