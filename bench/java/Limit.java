// SPDX-License-Identifier: MIT
//
// limit and confined: the same work as limit.c.
final class Limit {
    private static final int LIVE_PERCENT = 60, PAIR_BYTES = 64 + 560, LEAST = 128, DOUBLINGS = 3;

    private static final class Pair {
        byte[] bytes;
        long a, b, c, d, e, f;
        long value;

        Pair(long value) {
            bytes = new byte[Bench.size(LEAST, DOUBLINGS)];
            bytes[0] = bytes[bytes.length - 1] = (byte) value;
            this.value = value;
        }
    }

    private static void churn() {
        int nr = (int) ((Bench.number(0) << 20) * LIVE_PERCENT / 100 / PAIR_BYTES);
        long operations = Bench.number(1), sum = 0, begin;
        Pair[] table = new Pair[nr];
        Bench.Laps laps = new Bench.Laps();

        Bench.seed(7);
        for (int i = 0; i < nr; i++)
            table[i] = new Pair(i);
        begin = System.nanoTime();
        laps.begin();
        for (long i = 0; i < operations; i++) {
            int slot = Bench.below(nr);
            Pair pair = new Pair(i);

            sum += table[slot].value + (table[slot].bytes[0] & 255);
            table[slot] = pair;
            if (i % Bench.BATCH == Bench.BATCH - 1)
                laps.next();
        }
        Bench.ops(operations, begin);
        laps.print();
        Bench.figure("completed", "1", 1);
        Bench.sum(sum);
    }

    static void run() {
        try {
            churn();
        } catch (OutOfMemoryError e) {
            Bench.figure("completed", "1", 0);
            System.out.println("sum none");
        }
    }
}
