// SPDX-License-Identifier: MIT
final class Fragment {
    private static byte[][] table, kept;

    static void run() throws Exception {
        int phases = (int) Bench.number(0), objects = (int) Bench.number(1);
        long live = 0, sum = 0, begin = System.nanoTime();
        int room = (int) ((long) phases * objects * 3 / 20 + Bench.BATCH), nr = 0;

        Bench.seed(3);
        table = new byte[objects][];
        kept = new byte[room][];
        for (int phase = 0; phase < phases; phase++) {
            for (int i = 0; i < objects; i++) {
                int size = Bench.size(32, 7);
                byte[] object = new byte[size];

                object[0] = (byte) i;
                object[size - 1] = (byte) phase;
                table[i] = object;
            }
            for (int i = 0; i < objects; i++) {
                byte[] object = table[i];

                if (Bench.below(10) != 0 || nr == room)
                    continue;
                kept[nr++] = object;
                live += object.length;
                sum += (object[0] & 255) + (object[object.length - 1] & 255);
            }
            java.util.Arrays.fill(table, null);
            System.gc();
        }
        Bench.ops((long) phases * objects, begin);
        Bench.sum(sum + live);
        live += 4L * nr;
        Bench.figure("live", "KiB", live / 1024.0);
        table = null;
        System.gc();
        Bench.memory("collected", live);
        Bench.sleep(Bench.number(2));
        Bench.memory("later", live);
        System.gc();
        Bench.memory("released", live);
    }
}
