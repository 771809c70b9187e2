// SPDX-License-Identifier: MIT
//
// threads: the same work as threads.c.
import java.util.concurrent.CountDownLatch;

final class Threads {
    private static final int AT_WORK = 2, LIST = 64, SLOTS = 65536, KEPT_OF = 16;

    private static final class Link {
        final Link next;
        long a, b;
        long value;

        Link(Link next, long value) {
            this.next = next;
            this.value = value;
        }
    }

    // What is stored here escapes to the heap; a cache line apart.
    private static final Link[] sinks = new Link[AT_WORK * 16];
    private static final Bench.Laps[] laps = new Bench.Laps[AT_WORK];

    private static long work(int index, long operations) {
        Link[] table = new Link[SLOTS];
        long sum = 0;

        laps[index].begin();
        for (long i = 0; i < operations; i++) {
            Link link = new Link(null, i);

            sinks[index * 16] = link;
            if (i % KEPT_OF != 0) {
                sum += link.value;
            } else {
                int slot = (int) (i / KEPT_OF % SLOTS);

                if (table[slot] != null)
                    sum += table[slot].value;
                table[slot] = link;
            }
            if (i % Bench.BATCH == Bench.BATCH - 1)
                laps[index].next();
        }
        for (Link link : table)
            sum += link != null ? 1 : 0;
        return sum;
    }

    static void run() throws InterruptedException {
        int nr = (int) Bench.number(0);
        long operations = Bench.number(1), begin, sum = 0;
        CountDownLatch made = new CountDownLatch(nr), start = new CountDownLatch(1);
        CountDownLatch worked = new CountDownLatch(AT_WORK), end = new CountDownLatch(1);
        Thread[] all = new Thread[nr];
        long[] sums = new long[nr];

        for (int i = 0; i < AT_WORK; i++)
            laps[i] = new Bench.Laps();
        for (int i = 0; i < nr; i++) {
            int index = i;

            all[i] = new Thread(() -> {
                Link list = null;

                for (int n = 0; n < LIST; n++)
                    list = new Link(list, n);
                made.countDown();
                try {
                    if (index < AT_WORK) {
                        start.await();
                        sums[index] = work(index, operations / AT_WORK);
                        worked.countDown();
                    }
                    end.await();
                } catch (InterruptedException e) {
                    throw new IllegalStateException(e);
                }
                for (; list != null; list = list.next)
                    sums[index] += list.value;
            });
            all[i].start();
        }
        made.await();
        begin = System.nanoTime();
        start.countDown();
        worked.await();
        Bench.ops(operations, begin);
        end.countDown();
        for (Thread thread : all)
            thread.join();
        for (long s : sums)
            sum += s;
        laps[0].add(laps[1]);
        laps[0].print();
        Bench.sum(sum);
    }
}
