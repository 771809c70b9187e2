// SPDX-License-Identifier: MIT
final class Gcbench {
    private static final int MIN_DEPTH = 4, ARRAY = 500000;
    private static long made;

    private static final class Node {
        Node left, right;
        int i, j;

        Node() {
            made++;
        }

        long count() {
            return left == null ? 1 : 1 + left.count() + right.count();
        }
    }

    private static void populate(int depth, Node node) {
        if (depth == 0)
            return;
        node.left = new Node();
        node.right = new Node();
        populate(depth - 1, node.left);
        populate(depth - 1, node.right);
    }

    private static Node make(int depth) {
        Node left, right, node;

        if (depth == 0)
            return new Node();
        left = make(depth - 1);
        right = make(depth - 1);
        node = new Node();
        node.left = left;
        node.right = right;
        return node;
    }

    static void run() {
        int depth = (int) Bench.number(0);
        long begin = System.nanoTime();
        double[] array = new double[ARRAY];
        Node kept;

        make(depth + 2);
        kept = new Node();
        populate(depth, kept);
        for (int i = 1; i < ARRAY; i++)
            array[i] = 1.0 / i;
        for (int d = MIN_DEPTH; d <= depth; d += 2) {
            int trees = 2 * ((2 << (depth + 2)) - 1) / ((2 << d) - 1);

            for (int i = 0; i < trees; i++)
                populate(d, new Node());
            for (int i = 0; i < trees; i++)
                make(d);
        }
        Bench.ops(made, begin);
        Bench.sum(made + kept.count() + (long) (array[1000] * 1e6));
    }
}
