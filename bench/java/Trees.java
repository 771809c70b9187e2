// SPDX-License-Identifier: MIT
final class Trees {
    private static final int MIN_DEPTH = 4;

    private static final class Node {
        Node left, right;

        long count() {
            return left == null ? 1 : 1 + left.count() + right.count();
        }
    }

    private static Node make(int levels) {
        Node left = null, right = null, node;

        if (levels > 0) {
            left = make(levels - 1);
            right = make(levels - 1);
        }
        node = new Node();
        node.left = left;
        node.right = right;
        return node;
    }

    static void run() throws InterruptedException {
        int depth = (int) Bench.number(0), threads = (int) Bench.number(1);
        long begin = System.nanoTime(), nodes = make(depth + 1).count();
        Node kept = make(depth);
        Thread[] all = new Thread[threads];
        long[] shares = new long[threads];

        for (int i = 0; i < threads; i++) {
            int index = i;

            all[i] = new Thread(() -> {
                long sum = 0;

                for (int d = MIN_DEPTH; d <= depth; d += 2)
                    for (int n = index; n < 1 << (depth - d + MIN_DEPTH); n += threads)
                        sum += make(d).count();
                shares[index] = sum;
            });
            all[i].start();
        }
        for (int i = 0; i < threads; i++) {
            all[i].join();
            nodes += shares[i];
        }
        nodes += kept.count();
        Bench.ops(nodes, begin);
        Bench.sum(nodes);
    }
}
