// SPDX-License-Identifier: MIT
//
// scale: the same work as scale.c; its floors are measured there.
import java.lang.management.ManagementFactory;

final class Scale {
    private static final class Node {
        Node left, right;
        long a, b, c, d;
        long value;

        Node(long value) {
            this.value = value;
        }
    }

    private static long cpu() {
        return ((com.sun.management.OperatingSystemMXBean)
            ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
    }

    static void run() {
        int nr = (int) ((Bench.number(0) << 20) / 64);
        long cycles = Bench.number(1), sum = 0, least = Long.MAX_VALUE, leastWall = Long.MAX_VALUE;
        Node[] table = new Node[nr];

        Bench.seed(8);
        for (int i = 0; i < nr; i++) {
            table[i] = new Node(i);
            if (i > 0) {
                table[i].left = table[Bench.below(i)];
                table[i].right = table[Bench.below(i)];
            }
        }
        for (long i = 0; i < cycles; i++) {
            long begin = cpu(), wall = System.nanoTime();

            System.gc();
            leastWall = Math.min(leastWall, System.nanoTime() - wall);
            least = Math.min(least, cpu() - begin);
        }
        Bench.figure("cycle", "ns/object", (double) least / nr);
        Bench.figure("cycle_wall", "ns/object", (double) leastWall / nr);
        for (int i = 1; i < nr; i++)
            sum += table[i].left.value + table[i].right.value;
        Bench.sum(sum);
    }
}
