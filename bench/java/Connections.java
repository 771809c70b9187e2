// SPDX-License-Identifier: MIT
final class Connections {
    private static final int LISTENERS = 16, HEADER = 64;

    private static final class Listener {
        long accepted;
    }

    private static final class Conn {
        byte[] buffer;
        Listener listener;
        long a, b, c, d;
        long touched;
    }

    private static Conn[] table;
    private static final Listener[] listeners = new Listener[LISTENERS];
    private static long live;

    private static byte[] buffer(int size, byte[] old) {
        byte[] buffer = new byte[size];

        if (old != null)
            System.arraycopy(old, 0, buffer, 0, Math.min(old.length, size));
        else
            buffer[0] = 0;
        buffer[size - 1] = 1;
        live += size;
        return buffer;
    }

    private static void openAt(int i) {
        Conn conn = new Conn();

        conn.listener = listeners[i % LISTENERS];
        conn.listener.accepted++;
        conn.buffer = buffer(Bench.size(64, 6), null);
        live += HEADER;
        table[i] = conn;
    }

    private static void closeAt(int i) {
        live -= HEADER + table[i].buffer.length;
    }

    private static void resizeAt(int i) {
        Conn conn = table[i];
        int size = Bench.size(64, 6);

        live -= conn.buffer.length;
        conn.buffer = buffer(size, conn.buffer);
    }

    private static long touchAt(int i) {
        Conn conn = table[i];
        byte[] buffer = conn.buffer;

        conn.touched++;
        buffer[0]++;
        buffer[buffer.length - 1]++;
        return conn.touched + (buffer[0] & 255) + (buffer[buffer.length - 1] & 255);
    }

    private static long serve(int count, long operations) {
        long sum = 0, begin;
        Bench.Laps laps = new Bench.Laps();

        Bench.seed(2);
        for (int i = 0; i < LISTENERS; i++)
            listeners[i] = new Listener();
        table = new Conn[count];
        for (int i = 0; i < count; i++)
            openAt(i);
        begin = System.nanoTime();
        laps.begin();
        for (long op = 0; op < operations; op++) {
            int i = Bench.below(count), what = Bench.below(4);

            if (what == 0) {
                closeAt(i);
                openAt(i);
            } else if (what == 1) {
                resizeAt(i);
            } else {
                sum += touchAt(i);
            }
            if (op % Bench.BATCH == Bench.BATCH - 1)
                laps.next();
        }
        Bench.ops(operations, begin);
        laps.print();
        return sum;
    }

    static void run() throws Exception {
        int count = (int) Bench.number(0);
        long sum = serve(count, Bench.number(1));

        Bench.figure("live", "KiB", live / 1024.0);
        Bench.sum(sum + live);
        Bench.memory("full", 0);
        table = null;
        System.gc();
        Bench.sleep(1);
        Bench.memory("dropped_1s", 0);
        Bench.sleep(Bench.number(2) - 1);
        Bench.memory("dropped_end", 0);
        System.gc();
        Bench.memory("released", 0);
    }
}
