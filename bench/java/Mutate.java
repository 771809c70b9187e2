// SPDX-License-Identifier: MIT
final class Mutate {
    // 64 bytes, the header included, with references of 32 bits.
    private static final class Node {
        Node left, right, extra;
        long a, b, c, d;
        long value;

        Node(long value) {
            this.value = value;
        }
    }

    // What is stored here escapes to the heap.
    private static Node sink;

    private static long shortList(long step) {
        Node second = new Node(0), third = new Node(0);

        second.left = new Node(step);
        third.left = second;
        sink = third;
        return sink.left.left.value;
    }

    static void run() {
        int nodes = (int) Bench.number(0), slots = nodes / 4;
        long steps = Bench.number(1), sum = 0, begin;
        Node[] table = new Node[nodes];
        Bench.Laps laps = new Bench.Laps();

        Bench.seed(1);
        for (int i = 0; i < nodes; i++) {
            table[i] = new Node(i);
            if (i > 0)
                table[i].left = table[Bench.below(i)];
        }
        begin = System.nanoTime();
        laps.begin();
        for (long i = 0; i < steps; i++) {
            Node node = table[Bench.below(nodes)], old;

            node.left = table[Bench.below(nodes)];
            node = table[Bench.below(nodes)];
            node.right = table[Bench.below(nodes)];
            node = new Node(i);
            old = table[Bench.below(slots)];
            if (old.extra != null)
                sum += old.extra.value;
            old.extra = node;
            sum += shortList(i);
            if (i % Bench.BATCH == Bench.BATCH - 1)
                laps.next();
        }
        Bench.ops(steps, begin);
        laps.print();
        for (Node node : table) {
            if (node.left != null)
                sum += node.left.value;
            if (node.right != null)
                sum += 3 * node.right.value;
        }
        Bench.sum(sum);
    }
}
