// SPDX-License-Identifier: MIT
//
// depgraph: the same work as depgraph.c.
final class Depgraph {
    private static final int EDGES_MAX = 8, UNIT = 1024;

    private static final class Package {
        Edge edges;
        long visited, number;
    }

    private static final class Edge {
        Edge next;
        final Package to;

        Edge(Edge next, Package to) {
            this.next = next;
            this.to = to;
        }
    }

    private static void connect(Package[] table, int i) {
        Edge list = null;

        for (int n = i > 0 ? Bench.below(EDGES_MAX + 1) : 0; n > 0; n--) {
            long u = Bench.below(UNIT);

            list = new Edge(list, table[(int) (i * u / UNIT * u / UNIT * u / UNIT)]);
        }
        table[i].edges = list;
    }

    private static long ask(Package from, long query) {
        Edge head = new Edge(null, from), tail = head;
        long sum = 0;

        from.visited = query;
        for (; head != null; head = head.next) {
            sum += head.to.number;
            for (Edge e = head.to.edges; e != null; e = e.next) {
                if (e.to.visited == query)
                    continue;
                e.to.visited = query;
                tail.next = new Edge(null, e.to);
                tail = tail.next;
            }
        }
        return sum;
    }

    static void run() {
        int nr = (int) Bench.number(0);
        long queries = Bench.number(1), sum = 0, begin;
        Package[] table = new Package[nr];
        Bench.Laps laps = new Bench.Laps();

        Bench.seed(9);
        for (int i = 0; i < nr; i++) {
            table[i] = new Package();
            table[i].number = i;
            connect(table, i);
        }
        begin = System.nanoTime();
        laps.begin();
        for (long query = 1; query <= queries; query++) {
            sum += ask(table[Bench.below(nr)], query);
            connect(table, Bench.below(nr));
            if (query % Bench.BATCH == 0)
                laps.next();
        }
        Bench.ops(queries, begin);
        laps.print();
        Bench.sum(sum);
    }
}
