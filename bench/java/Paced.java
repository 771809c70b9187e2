// SPDX-License-Identifier: MIT
//
// bursty: the same work as paced.c.  There is no percent here: these heaps have no
// such setting.
import java.util.concurrent.locks.LockSupport;

final class Paced {
    private static final long TICK_NS = 1000000;
    private static final int STRETCH = 50, BURST = 10, KEPT_OF = 4;

    private static final class Node {
        Node next;
        long a, b, c, d, e, f;
        long value;

        Node(long value) {
            this.value = value;
        }
    }

    // What is stored here escapes to the heap.
    private static Node sink;

    static void run() {
        int nodes = (int) Bench.number(0);
        long ticks = Bench.number(1), rate = Bench.number(2), sum = 0, made = 0, late = 0, begin;
        Node[] table = new Node[nodes];
        Bench.Laps laps = new Bench.Laps();

        Bench.seed(6);
        for (int i = 0; i < nodes; i++)
            table[i] = new Node(0);
        begin = System.nanoTime();
        for (long tick = 0; tick < ticks; tick++) {
            long due = begin + tick * TICK_NS, now = System.nanoTime();
            long n = tick / STRETCH % 2 != 0 ? rate * BURST : rate;

            if (now > due + TICK_NS)
                late++;
            for (; now < due; now = System.nanoTime())
                LockSupport.parkNanos(due - now);
            laps.begin();
            for (long i = 0; i < n; i++) {
                Node node = new Node(made++);

                sink = node;
                if (i % KEPT_OF != 0) {
                    sum += node.value;
                } else {
                    int slot = Bench.below(nodes);

                    sum += table[slot].value;
                    table[slot] = node;
                }
                if (i % Bench.BATCH == Bench.BATCH - 1)
                    laps.next();
            }
        }
        Bench.ops(made, begin);
        Bench.figure("late", "ticks", late);
        laps.print();
        Bench.sum(sum);
    }
}
