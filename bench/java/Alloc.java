// SPDX-License-Identifier: MIT
//
// alloc: the same work as alloc.c.  Java clears every object, so that "raw" is
// "zeroed" here; an array has its header besides.
final class Alloc {
    private static final int SINKS = 64;

    private static class Node16 {
        Object left, right;
    }

    private static class Node64 extends Node16 {
        long a, b, c, d, e, last;
    }

    // What is stored here escapes to the heap, and is soon garbage.
    private static final Object[] sinks = new Object[SINKS];

    private static long nodes16(long n) {
        long sum = 0;

        for (long i = 0; i < n; i++) {
            sinks[(int) i & SINKS - 1] = new Node16();
            sum += i;
        }
        return sum;
    }

    private static long nodes64(long n) {
        long sum = 0;

        for (long i = 0; i < n; i++) {
            Node64 p = new Node64();

            sinks[(int) i & SINKS - 1] = p;
            p.last += i;
            sum += p.last;
        }
        return sum;
    }

    private static long arrays(int words, long n) {
        long sum = 0;

        for (long i = 0; i < n; i++) {
            long[] p = new long[words];

            sinks[(int) i & SINKS - 1] = p;
            p[1] += i;
            sum += p[1];
        }
        return sum;
    }

    static void run() {
        String what = Bench.word(0);
        long size = Bench.number(1), n = Bench.number(2), sum, begin = System.nanoTime();

        if (!what.equals("node"))
            sum = arrays((int) size / 8, n);
        else if (size == 16)
            sum = nodes16(n);
        else if (size == 64)
            sum = nodes64(n);
        else
            throw new IllegalArgumentException("nodes of 16 or 64 bytes");
        Bench.ops(n, begin);
        Bench.sum(sum);
    }
}
