// SPDX-License-Identifier: MIT
/*
 * What root sees in debugfs, file by file, against the statistics call and
 * against what was done.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "guest.h"

#define SIZE	(64 * MIB)
#define NAME	"gca-debugfs"
#define ROWS	512

#define COUNTERS(C) \
	C(heap_sys); C(heap_inuse); C(heap_idle); C(heap_released); C(heap_manual); \
	C(meta_sys); C(spans_inuse); C(spans_held); C(chunks_backed); C(chunks_small); \
	C(chunks_idle); C(swept_spans); C(swept_freed); C(refill_calls); C(refill_spans); \
	C(refill_central); C(refill_swept); C(refill_fresh); C(refill_backed); \
	C(refill_failed); C(back_small); C(returned_spans); C(scavenged_bytes); \
	C(scavenge_broken); C(worker_ns); C(worker_wakeups); C(cycles); \
	C(shrink_calls); C(shrink_bytes); C(scavenge_kept); C(scavenge_inside); \
	C(heap_holes); C(collapsed); C(collapse_failed)

static const char * const files[] = {
	"stats", "spans", "span_classes", "chunks", "scavenger",
};

#define NR_FILES	(sizeof(files) / sizeof(files[0]))

static const char *path_of(uint32_t id, const char *file)
{
	static char path[96];

	snprintf(path, sizeof(path), DEBUGFS "/%u/%s", id, file);
	return path;
}

static long value(struct arena *a, const char *file, const char *key)
{
	return g_file_value(path_of(a->setup.id, file), key);
}

/* All rows below the heading; its first word must be @first. */
static int read_rows(struct arena *a, const char *file, const char *first, char rows[][400])
{
	FILE *f = fopen(path_of(a->setup.id, file), "r");
	char heading[400] = "";
	int nr = 0;

	if (!f)
		bail("%s: %s", path_of(a->setup.id, file), strerror(errno));
	if (!fgets(heading, sizeof(heading), f) || strncmp(heading, first, strlen(first)))
		bail("%s begins with %s", file, heading);
	while (nr < ROWS && fgets(rows[nr], 400, f))
		nr++;
	fclose(f);
	return nr;
}

static void read_all(uint32_t id, const char *file)
{
	int fd = open(path_of(id, file), O_RDONLY);
	char text[8192];
	ssize_t n;

	if (fd < 0)
		bail("%s: %s", path_of(id, file), strerror(errno));
	while ((n = read(fd, text, sizeof(text))) > 0)
		;
	if (n < 0)
		bail("reading %s: %s", path_of(id, file), strerror(errno));
	close(fd);
}

static void test_modes(struct arena *a)
{
	struct stat st;

	for (unsigned int i = 0; i < NR_FILES; i++) {
		stat(path_of(a->setup.id, files[i]), &st);
		eq(st.st_mode, S_IFREG | 0400, "%s: for root to read", files[i]);
	}
	stat(DEBUGFS "/totals", &st);
	eq(st.st_mode, S_IFREG | 0400, "totals: likewise");
}

static void test_stats(struct arena *a)
{
	static const char * const states[] = {
		"ready", "held", "swept", "unswept", "sweeping", "manual", "transit",
	};
	long spans = 0, bytes = 0, resident;
	struct gcarena_stats stats;
	char key[64], comm[64] = "";
	FILE *f;

	g_stats(a, &stats);
	/* Equal, but for the worker's time if it runs in between. */
#define CHECK(name)							\
	do {								\
		long has = value(a, "stats", #name), was = stats.counters.name; \
									\
		g_stats(a, &stats);					\
		ok(has >= was && has <= (long)stats.counters.name, "stats: " #name); \
	} while (0)
	COUNTERS(CHECK);
#undef CHECK
	eq(value(a, "stats", "pid"), getpid(), "stats: pid");
	f = fopen(path_of(a->setup.id, "stats"), "r");
	ok(fscanf(f, "pid: %*d comm: %63s", comm) == 1 && !strcmp(comm, NAME), "stats: comm");
	fclose(f);
	prctl(PR_SET_NAME, "x\npid: 1");
	eq(value(a, "stats", "pid"), getpid(), "stats: a name makes no lines");
	f = fopen(path_of(a->setup.id, "stats"), "r");
	ok(fscanf(f, "pid: %*d comm: %63[^\n]", comm) == 1 && !strcmp(comm, "x\\012pid: 1"),
	   "stats: its line ends are escaped");
	fclose(f);
	prctl(PR_SET_NAME, NAME);
	eq(value(a, "stats", "heap_size"), SIZE, "stats: heap_size");
	eq(value(a, "stats", "generation"), stats.generation, "stats: generation");
	eq(value(a, "stats", "sweep_left"), stats.sweep_left, "stats: sweep_left");

	for (unsigned int i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		snprintf(key, sizeof(key), "state_%s_spans", states[i]);
		spans += value(a, "stats", key);
		snprintf(key, sizeof(key), "state_%s_bytes", states[i]);
		bytes += value(a, "stats", key);
	}
	eq(spans, stats.counters.spans_inuse, "stats: spans of all states are those in use");
	eq(bytes, stats.counters.heap_inuse, "stats: bytes of all states are those in use");
	eq(value(a, "stats", "state_held_spans"), stats.counters.spans_held,
	   "stats: state_held_spans");
	eq(value(a, "stats", "state_manual_bytes"), stats.counters.heap_manual,
	   "stats: state_manual_bytes");
	eq(value(a, "stats", "span_records_inuse"), stats.counters.spans_inuse,
	   "stats: span_records_inuse");
	eq(value(a, "stats", "span_records"), stats.counters.heap_sys / PAGE,
	   "stats: span_records");
	eq(value(a, "stats", "chunk_descriptors"), stats.counters.heap_sys / CHUNK,
	   "stats: chunk_descriptors");
	eq(value(a, "stats", "chunk_descriptors_inuse"),
	   stats.counters.chunks_backed - stats.counters.chunks_idle,
	   "stats: chunk_descriptors_inuse");
	resident = value(a, "stats", "resident_huge_bytes") +
		   value(a, "stats", "resident_small_bytes");
	eq(resident, value(a, "stats", "mapping_bytes"), "stats: huge and small are all there is");
	eq(value(a, "stats", "huge_coverage_permille"),
	   value(a, "stats", "resident_huge_bytes") * 1000 / resident,
	   "stats: huge_coverage_permille");
	eq(value(a, "stats", "fragmentation_permille"),
	   value(a, "stats", "partial_idle_bytes") * 1000 /
	   ((long)stats.counters.heap_inuse + value(a, "stats", "partial_idle_bytes")),
	   "stats: fragmentation_permille");
}

static void test_spans(struct arena *a)
{
	static char rows[ROWS][400];
	struct gcarena_stats stats;
	int nr = read_rows(a, "spans", "page npages class state generation objects", rows);
	long pages = 0, held = 0;
	int end = 0;

	g_stats(a, &stats);
	eq(nr, stats.counters.spans_inuse, "spans: a row a span");
	for (int i = 0; i < nr; i++) {
		int page, npages, cls, generation, objects;
		char state[16];

		if (sscanf(rows[i], "%d %d %d %15s %d %d", &page, &npages, &cls, state,
			   &generation, &objects) != 6 || page < end || cls >= C_COUNT) {
			ok(false, "spans: row %d is %s", i, rows[i]);
			continue;
		}
		end = page + npages;
		pages += npages;
		held += !strcmp(state, "held");
	}
	eq(pages * (long)PAGE, stats.counters.heap_inuse, "spans: their pages");
	eq(held, stats.counters.spans_held, "spans: held ones");
}

struct class_row {
	long cls, elem_size, npages, flags, spans, bytes, objects, room, permille, vacant, tail;
};

static struct class_row class_row(struct arena *a, int cls)
{
	static char rows[ROWS][400];
	int nr = read_rows(a, "span_classes", "class elem_size npages flags spans bytes", rows);
	struct class_row r = { .cls = -1 };

	if (cls < nr)
		sscanf(rows[cls], "%ld %ld %ld %ld %ld %ld %ld %ld %ld %ld %ld", &r.cls,
		       &r.elem_size, &r.npages, &r.flags, &r.spans, &r.bytes, &r.objects,
		       &r.room, &r.permille, &r.vacant, &r.tail);
	eq(r.cls, cls, "span_classes: class %d has a row", cls);
	return r;
}

/* Three C_16 with 100 objects in one of them, and what main() made besides. */
static void test_span_classes(struct arena *a)
{
	struct class_row r = class_row(a, C_16);

	eq(r.elem_size, 16, "span_classes: elem_size");
	eq(r.spans, 3, "span_classes: spans");
	eq(r.bytes, 3 * PAGE, "span_classes: bytes");
	eq(r.objects, 100, "span_classes: objects");
	eq(r.room, 3 * 512, "span_classes: room");
	eq(r.permille, 100 * 1000 / (3 * 512), "span_classes: occupancy");
	eq(r.vacant, (3 * 512 - 100) * 16, "span_classes: vacant bytes");
	eq(r.tail, 0, "span_classes: no tail");
	r = class_row(a, C_64);
	eq(r.spans, 0, "span_classes: a class without spans");
	eq(r.permille, 0, "span_classes: is not occupied");
	r = class_row(a, C_LARGE);
	eq(r.spans, 1, "span_classes: large");
	eq(r.bytes, 300 * PAGE, "span_classes: large, its bytes");
	eq(r.objects, 1, "span_classes: large, one object");
	eq(r.permille, 1000, "span_classes: large, full");
	r = class_row(a, C_MANUAL);
	eq(r.flags, GCARENA_CLASS_MANUAL, "span_classes: manual, its flag");
	eq(r.bytes, 5 * PAGE, "span_classes: manual, its bytes");
}

/* 170 objects of 48 bytes leave 32 bytes of a page to nobody. */
static void test_tail(void)
{
	struct gcarena_class cls = { .elem_size = 48, .npages = 1 };
	struct arena a = { .fd = open(DEVICE, O_RDWR | O_CLOEXEC) };
	struct gcarena_span spans[2];
	struct class_row r;

	a.setup = (struct gcarena_setup) {
		.size = sizeof(a.setup), .heap_size = SIZE, .classes = (uintptr_t)&cls,
		.nr_classes = 1, .class_size = sizeof(cls),
	};
	eq(g_ioctl(a.fd, GCARENA_IOC_SETUP, &a.setup), 0, "an arena with one class");
	eq(g_refill(&a, 0, 0, spans, 2), 2, "two spans");
	r = class_row(&a, 0);
	eq(r.room, 340, "span_classes: room for 340");
	eq(r.vacant, 340 * 48, "span_classes: all of it vacant");
	eq(r.tail, 64, "span_classes: tails of 32 bytes");
	eq(g_file_value(DEBUGFS "/totals", "arenas"), 2, "totals: two arenas");
	close(a.fd);
	eq(g_file_value(DEBUGFS "/totals", "arenas"), 1, "totals: one arena");
}

/* A chunk's row against its own map: 256 letters. */
static bool row_agrees(const char *row, long *in_use, long *huge, long *small)
{
	char backing[16], map[300];
	int chunk, nr_free, longest, transit, node, holes, run = 0, best = 0, is_free = 0;
	long h = 0, s = 0, w = 0;

	if (sscanf(row, "%d %d %d %d %15s %d %d %299s", &chunk, &nr_free, &longest, &transit,
		   backing, &node, &holes, map) != 8 || strlen(map) != 256)
		return false;
	for (int i = 0; i < 256; i++) {
		bool used = map[i] == '-' || isupper((unsigned char)map[i]);

		if (!used && map[i] != '.' && !islower((unsigned char)map[i]))
			return false;
		h += tolower(map[i]) == 'h';
		s += tolower(map[i]) == 's';
		w += tolower(map[i]) == 'w';
		is_free += !used;
		run = used ? 0 : run + 1;
		best = run > best ? run : best;
	}
	*in_use += 256 - is_free;
	*huge += h;
	*small += s;
	if (node < 0 ? h || s : !h && !s)
		return false;
	if (strcmp(backing, h && !s && !w ? "huge" : s && !h && !w ? "small" :
		   w && !h && !s ? "swapped" : !h && !s && !w ? "none" : "mixed"))
		return false;
	return nr_free == is_free && longest == best;
}

static void test_chunks(struct arena *a, int more)
{
	static char rows[ROWS][400];
	long in_use = 0, huge = 0, small = 0;
	struct gcarena_stats stats;
	int nr = read_rows(a, "chunks", "chunk free longest transit backing node holes map", rows);
	int bad = 0;

	g_stats(a, &stats);
	eq(nr, (long)(stats.counters.heap_sys / CHUNK) + more, "chunks: a row a chunk");
	for (int i = 0; i < nr; i++)
		if (!row_agrees(rows[i], &in_use, &huge, &small) && !bad++)
			diag("%s", rows[i]);
	eq(bad, 0, "chunks: each row agrees with its map");
	eq(in_use * (long)PAGE, stats.counters.heap_inuse, "chunks: pages in use");
	eq(huge * (long)PAGE, value(a, "stats", "resident_huge_bytes"), "chunks: huge pages");
	eq(small * (long)PAGE, value(a, "stats", "resident_small_bytes"), "chunks: small pages");
}

static void test_scavenger(struct arena *a)
{
	struct gcarena_policy policy = {
		.size = sizeof(policy), .limit_bytes = 50 * MIB, .retain_bytes = SIZE,
	};
	struct gcarena_policy_call args = {
		.size = sizeof(args), .flags = GCARENA_POLICY_SET, .policy = (uintptr_t)&policy,
	};
	struct gcarena_stats stats;
	char path[64], comm[32] = "", name[32];
	FILE *f;

	eq(value(a, "scavenger", "worker_pid"), 0, "scavenger: no thread yet");
	eq(g_ioctl(a->fd, GCARENA_IOC_POLICY, &args), 0, "a limit and a goal");
	eq(value(a, "scavenger", "limit_bytes"), 50 * MIB, "scavenger: limit");
	eq(value(a, "scavenger", "retain_bytes"), SIZE, "scavenger: goal");
	eq(value(a, "scavenger", "above_goal_bytes"), 0, "scavenger: nothing above it");
	g_stats(a, &stats);
	eq(value(a, "scavenger", "backed_bytes"),
	   stats.counters.heap_sys - stats.counters.heap_released - stats.counters.heap_holes,
	   "scavenger: backed");
	eq(value(a, "scavenger", "scavenged_bytes"), stats.counters.scavenged_bytes,
	   "scavenger: scavenged");

	policy.retain_bytes = 1;
	eq(g_ioctl(a->fd, GCARENA_IOC_POLICY, &args), 0, "a goal of nothing");
	ok(g_wait_for(value(a, "scavenger", "chunks_idle") == 0, 5000),
	   "scavenger: no idle chunk is left");
	ok(value(a, "scavenger", "worker_wakeups") > 0, "scavenger: it was woken");
	snprintf(path, sizeof(path), "/proc/%ld/comm", value(a, "scavenger", "worker_pid"));
	snprintf(name, sizeof(name), "gcarena/%u", a->setup.id);
	f = fopen(path, "r");
	ok(f && fscanf(f, "%31s", comm) == 1 && !strcmp(comm, name), "scavenger: its thread");
	if (f)
		fclose(f);
}

static void test_totals(struct arena *a, struct arena *b)
{
	struct gcarena_stats one, two;

	g_stats(a, &one);
	g_stats(b, &two);
	eq(g_file_value(DEBUGFS "/totals", "arenas"), 2, "totals: arenas");
	eq(g_file_value(DEBUGFS "/totals", "heap_size"), 2 * SIZE, "totals: heap_size");
#define CHECK(name)							\
	do {								\
		long has = g_file_value(DEBUGFS "/totals", #name);	\
		long was = one.counters.name + two.counters.name;	\
									\
		g_stats(a, &one);					\
		ok(has >= was && has <= (long)(one.counters.name + two.counters.name), \
		   "totals: " #name);					\
	} while (0)
	COUNTERS(CHECK);
#undef CHECK
	eq(g_file_value(DEBUGFS "/totals", "mapping_bytes"),
	   value(a, "stats", "mapping_bytes") + value(b, "stats", "mapping_bytes"),
	   "totals: mapping_bytes");
}

static volatile bool stop;

static void *worker(void *arg)
{
	struct gcarena_span spans[8];
	struct arena *a = arg;
	long n = 0;

	while (!stop) {
		int got = g_refill(a, n % 2 ? C_1K : C_CHUNKY, 0, spans, 8);

		if (got > 0)
			g_return(a, spans, got);
		if (++n % 16 == 0)
			g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	}
	return (void *)n;
}

/* Readers beside an arena that changes all the time. */
static void test_beside(struct arena *a)
{
	pthread_t thread;
	void *calls;

	pthread_create(&thread, NULL, worker, a);
	for (int i = 0; i < 100; i++) {
		for (unsigned int k = 0; k < NR_FILES; k++)
			read_all(a->setup.id, files[k]);
		g_file_value(DEBUGFS "/totals", "arenas");
	}
	stop = true;
	pthread_join(thread, &calls);
	ok((long)calls > 0, "%ld refills while all files were read", (long)calls);
}

#define BIG		(256 * MIB)
/* Refills that a reader of one file must let through at least. */
#define BESIDE		20

static char big_file[32];
static volatile bool reading;

static void *read_big(void *arg)
{
	struct arena *a = arg;

	read_all(a->setup.id, big_file);
	reading = false;
	return NULL;
}

/* Files of tens of thousands of rows, and an arena that does not wait for them. */
static void test_big(void)
{
	static const char * const big[] = { "spans", "span_classes", "chunks", "stats" };
	static struct gcarena_span spans[GCARENA_BATCH_MAX];
	struct arena a;
	long n = 0;
	int got;

	g_open(&a, BIG);
	/* Of every class, and nearly all there is. */
	while (n < (long)(BIG / PAGE * 7 / 8)) {
		got = g_refill(&a, C_64, 0, spans, GCARENA_BATCH_MAX);
		if (got <= 0)
			break;
		for (int i = 0; i < got; i++)
			g_set_bit(&a, spans[i].generation & 1, spans[i].page, 0);
		n += got;
	}
	ok(n >= (long)(BIG / PAGE * 7 / 8), "big: %ld spans", n);
	for (unsigned int i = 0; i < sizeof(big) / sizeof(big[0]); i++) {
		pthread_t thread;
		int64_t start = g_now_ns();
		long beside = 0;

		strcpy(big_file, big[i]);
		reading = true;
		pthread_create(&thread, NULL, read_big, &a);
		while (reading) {
			got = g_refill(&a, C_1K, 0, spans, 1);
			if (got == 1 && !g_return(&a, spans, 1))
				beside++;
		}
		pthread_join(thread, NULL);
		/* A file that was read in no time holds nobody up. */
		ok(beside >= BESIDE || g_now_ns() - start < 20000000,
		   "big: %ld refills while %s was read, in %ld ms", beside, big[i],
		   (long)(g_now_ns() - start) / 1000000);
	}
	g_close(&a);
}

/* /proc/self/fdinfo of the descriptor. */
static void test_fdinfo(struct arena *a)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", a->fd);
	eq(g_file_value(path, "gcarena-id"), a->setup.id, "fdinfo: id");
	eq(g_file_value(path, "gcarena-owner"), getpid(), "fdinfo: owner");
	eq(g_file_value(path, "gcarena-dead"), 0, "fdinfo: dead");
	eq(g_file_value(path, "gcarena-heap-size"), SIZE, "fdinfo: heap size");
	eq(g_file_value(path, "gcarena-heap-bytes"), value(a, "stats", "mapping_bytes"),
	   "fdinfo: heap bytes");
	eq(g_file_value(path, "gcarena-meta-bytes"), value(a, "stats", "host_meta_bytes"),
	   "fdinfo: metadata bytes");
}

int main(void)
{
	struct gcarena_span small[3], kept[2], large, manual;
	struct gcarena_stats stats;
	struct arena a, b;
	int fd = open("/proc/self/comm", O_WRONLY);

	if (write(fd, NAME, sizeof(NAME) - 1) < 0)
		bail("comm: %s", strerror(errno));
	close(fd);
	g_open(&a, SIZE);
	test_modes(&a);
	eq(g_refill(&a, C_16, 0, small, 3), 3, "three spans of 16 bytes");
	for (unsigned int i = 0; i < 100; i++)
		g_set_bit(&a, small[1].generation & 1, small[1].page, i);
	eq(g_refill(&a, C_LARGE, 300, &large, 1), 1, "a large one");
	g_set_bit(&a, large.generation & 1, large.page, 0);
	eq(g_refill(&a, C_MANUAL, 5, &manual, 1), 1, "a manual one");
	eq(g_refill(&a, C_CHUNKY, 0, kept, 2), 2, "two of half a MiB");
	g_set_bit(&a, kept[0].generation & 1, kept[0].page, 0);
	eq(g_return(&a, kept, 1), 0, "one returned with an object");
	test_stats(&a);
	ok(value(&a, "stats", "partial_idle_bytes") > 0, "stats: some of it idles in used chunks");
	eq(value(&a, "stats", "huge_coverage_permille"), 1000, "stats: all huge");
	test_spans(&a);
	test_span_classes(&a);
	test_chunks(&a, 0);
	test_tail();

	/* All of a chunk that the arena has not given out; a broken one. */
	*g_addr(&a, SIZE / PAGE - 1) = 1;
	test_chunks(&a, 1);
	madvise(a.heap + SIZE - CHUNK, CHUNK, MADV_REMOVE);
	ok(g_scavenge(&a, GCARENA_SCAVENGE_ALL, 0) > 0, "scavenged");
	test_chunks(&a, 0);
	test_stats(&a);
	eq(value(&a, "stats", "fragmentation_permille"), 0, "stats: nothing idles in used chunks");
	ok(value(&a, "stats", "huge_coverage_permille") < 1000, "stats: some of it is small");
	eq(g_refill(&a, C_LARGE, 256, &large, 1), 1, "one to give back");
	eq(g_return(&a, &large, 1), 0, "given back");

	test_scavenger(&a);
	g_stats(&a, &stats);
	g_start_sweep(&a, stats.generation);
	g_assist(&a);
	/* A kept span is of an older generation now, others are swept. */
	test_stats(&a);
	test_fdinfo(&a);
	g_open(&b, SIZE);
	eq(g_refill(&b, C_64, 0, small, 3), 3, "three spans in another arena");
	test_totals(&a, &b);
	g_close(&a);
	test_beside(&b);
	g_close(&b);
	test_big();
	return tap_done();
}
