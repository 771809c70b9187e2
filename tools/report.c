// SPDX-License-Identifier: MIT
/*
 * gcarena report: a recording as one HTML page, with plots in it that need neither a
 * script nor the network.
 *
 * Each line of a plot is an element with the attribute data-series, its number of points
 * in data-points.  A plot's scale begins at 0, and what is twice as high is twice as
 * much, but for pauses, whose scale is logarithmic.  Times are since the recording began.
 */
#include "sources.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES_MAX	(1u << 22)
#define PAUSES		256
/* Of a plot, in pixels. */
#define WIDTH		900.0
#define HEIGHT		240.0
#define LEFT		70.0
#define RIGHT		20.0
#define TOP		28.0
#define BOTTOM		34.0
#define TICKS		5
#define MIB		(1 << 20)
/* Points of a line; of more the least and the greatest of each of so many parts are drawn. */
#define POINTS_MAX	1800u
/* Seconds that a rate is of: in shorter ones a single event is a peak. */
#define RATE_LEAST	0.1
#define SERIES_MAX	8u

struct sample {
	uint64_t ns;		/* since 1970 */
	struct source source;	/* of one heap */
};

struct samples {
	struct sample *all;	/* by heap, then time */
	size_t nr;
	uint64_t first, last;	/* ns */
};

struct point {
	double x, y;
};

struct series {
	const char *name;	/* data-series */
	const char *title;
	const char *colour;
	struct point *points;
	size_t nr;
	bool dots;		/* events: not joined */
};

struct plot {
	const char *title;
	const char *unit;
	const char *note;	/* how to read it */
	struct series series[SERIES_MAX];
	unsigned int nr;
	bool logarithmic;	/* points below 1 are shown at 1 */
};

/* ----------------------------------------------------------------- reading */

static void add_heaps(struct samples *samples, uint64_t ns, const char *text, size_t length)
{
	const char *end = text + length, *next;

	for (; text < end; text = next) {
		struct sample *sample;

		next = memmem(text + 1, (size_t)(end - text) - 1, "\nheap: ", strlen("\nheap: "));
		next = next ? next + 1 : end;
		samples->all = tool_realloc(samples->all,
					    (samples->nr + 1) * sizeof(*samples->all));
		sample = &samples->all[samples->nr++];
		memset(sample, 0, sizeof(*sample));
		sample->ns = ns;
		text_append(&sample->source.text, text, (size_t)(next - text));
		sample->source.heap = (uint32_t)source_number(&sample->source, "heap");
	}
}

static int read_recording(const char *path, struct samples *samples)
{
	static const char head[] = "gcarena record 1\n";
	FILE *file = fopen(path, "re");
	char line[128], *body = NULL;
	int status = TOOL_OK;
	uint64_t ns;
	size_t length;

	if (!file)
		return tool_fail("%s: %s", path, strerror(errno));
	if (!fgets(line, sizeof(line), file) || strcmp(line, head)) {
		fclose(file);
		return tool_fail("%s: no recording of gcarena record", path);
	}
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "sample %" SCNu64 " %zu", &ns, &length) != 2 ||
		    length > MIB || samples->nr >= SAMPLES_MAX ||
		    (samples->last && ns < samples->last && samples->last - ns > 60000000000ull)) {
			status = tool_fail("%s: damaged after %zu samples", path, samples->nr);
			break;
		}
		body = tool_realloc(body, length + 1);
		if (fread(body, 1, length, file) != length) {
			/* Nothing is lost by it but that. */
			fprintf(stderr, "gcarena report: %s: the last sample was cut off\n", path);
			break;
		}
		body[length] = 0;
		if (!samples->first)
			samples->first = ns;
		samples->last = ns;
		add_heaps(samples, ns, body, length);
	}
	if (status == TOOL_OK && ferror(file))
		status = tool_fail("%s: %s", path, strerror(errno));
	if (status == TOOL_OK && !samples->nr)
		status = tool_fail("%s: there is no sample in it", path);
	free(body);
	fclose(file);
	return status;
}

static int by_heap(const void *a, const void *b)
{
	const struct sample *one = a, *other = b;

	if (one->source.heap != other->source.heap)
		return one->source.heap < other->source.heap ? -1 : 1;
	return one->ns < other->ns ? -1 : one->ns > other->ns;
}

/* ------------------------------------------------------------------ series */

static void add_point(struct series *series, double x, double y)
{
	series->points = tool_realloc(series->points, (series->nr + 1) * sizeof(*series->points));
	series->points[series->nr++] = (struct point){ x, y };
}

static struct series *add_series(struct plot *plot, const char *name, const char *title,
				 const char *colour)
{
	struct series *series = &plot->series[plot->nr++];

	memset(series, 0, sizeof(*series));
	series->name = name;
	series->title = title;
	series->colour = colour;
	return series;
}

static double seconds(const struct samples *samples, uint64_t ns)
{
	return ns > samples->first ? (double)(ns - samples->first) / 1e9 : 0;
}

/* A figure as it is. */
static void level(struct plot *plot, const struct samples *samples, const struct sample *heap,
		  size_t nr, const char *name, const char *title, const char *colour)
{
	struct series *series = add_series(plot, name, title, colour);
	uint64_t value;
	size_t i;

	for (i = 0; i < nr; i++)
		if (source_value(&heap[i].source, name, &value) && value != UINT64_MAX)
			add_point(series, seconds(samples, heap[i].ns), (double)value / MIB);
}

/* How fast a figure rises: so much of @unit in a second. */
static void rate(struct plot *plot, const struct samples *samples, const struct sample *heap,
		 size_t nr, const char *name, const char *title, const char *colour, double unit)
{
	struct series *series = add_series(plot, name, title, colour);
	uint64_t before = 0, now;
	const struct sample *from = NULL;
	size_t i;

	for (i = 0; i < nr; i++) {
		double took = from ? (double)(heap[i].ns - from->ns) / 1e9 : 0;

		if (!source_value(&heap[i].source, name, &now))
			continue;
		if (from && took < RATE_LEAST)
			continue;
		if (from)
			add_point(series, seconds(samples, heap[i].ns),
				  now > before ? (double)(now - before) / unit / took : 0);
		from = &heap[i];
		before = now;
	}
}

static unsigned int numbers(const struct text *text, const char *name, uint64_t values[PAUSES])
{
	const char *at = text->bytes ? strstr(text->bytes, name) : NULL;
	unsigned int nr = 0;
	char *end;

	for (at = at ? at + strlen(name) : ""; *at == ' ' && nr < PAUSES; at = end)
		values[nr++] = strtoull(at, &end, 10);
	return nr;
}

/* Each pause once, though many samples remember it; the most recent first. */
static void pauses(struct plot *plot, const struct samples *samples, const struct sample *heap,
		   size_t nr)
{
	struct series *series = add_series(plot, "pause", "longest stop in a cycle", "#d62728");
	uint64_t ns[PAUSES], ends[PAUSES], seen = 0;
	unsigned int count, i;
	size_t s;

	series->dots = true;
	for (s = 0; s < nr; s++) {
		count = numbers(&heap[s].source.text, "\npause_ns:", ns);
		if (numbers(&heap[s].source.text, "\npause_end:", ends) != count)
			continue;
		for (i = count; i-- > 0;) {
			if (ends[i] <= seen)
				continue;
			seen = ends[i];
			if (seen >= samples->first)
				add_point(series, seconds(samples, seen), (double)ns[i] / 1e3);
		}
	}
}

static void ratios(struct plot *plot, const struct samples *samples, const struct sample *heap,
		   size_t nr)
{
	struct series *idle = add_series(plot, "fragmentation_ratio", "fragmentation", "#9467bd");
	struct series *huge = add_series(plot, "huge_ratio", "on huge pages", "#2ca02c");
	double share;
	size_t i;

	for (i = 0; i < nr; i++) {
		add_point(idle, seconds(samples, heap[i].ns),
			  source_fragmentation(&heap[i].source));
		if (source_huge_share(&heap[i].source, &share))
			add_point(huge, seconds(samples, heap[i].ns), share);
	}
}

/* ----------------------------------------------------------------- drawing */

/* 1, 2 or 5 times a power of ten, at least @least. */
static double nice(double least)
{
	double power = pow(10, floor(log10(least)));

	if (least <= power)
		return power;
	if (least <= 2 * power)
		return 2 * power;
	return least <= 5 * power ? 5 * power : 10 * power;
}

static void escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '<')
			fputs("&lt;", out);
		else if (*text == '>')
			fputs("&gt;", out);
		else if (*text == '&')
			fputs("&amp;", out);
		else if (*text == '"')
			fputs("&quot;", out);
		else
			fputc(*text, out);
	}
}

static void draw_axes(FILE *out, const struct plot *plot, double x_step, double x_max,
		      double y_step, double y_max)
{
	double inner_width = WIDTH - LEFT - RIGHT, inner_height = HEIGHT - TOP - BOTTOM;
	unsigned int i;

	for (i = 0; i * y_step <= y_max * 1.0001; i++) {
		double y = TOP + inner_height * (1 - i * y_step / y_max);

		fprintf(out, "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>", LEFT, y,
			WIDTH - RIGHT);
		fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%g</text>\n",
			LEFT - 6, y + 4, plot->logarithmic ? pow(10, i * y_step) : i * y_step);
	}
	for (i = 0; i * x_step <= x_max * 1.0001; i++)
		fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%g s</text>\n",
			LEFT + inner_width * i * x_step / x_max, HEIGHT - BOTTOM + 16, i * x_step);
}

static double height_of(const struct plot *plot, const struct point *point)
{
	return plot->logarithmic ? log10(fmax(point->y, 1)) : point->y;
}

struct frame {
	double x_max, y_max;
};

static void draw_point(FILE *out, const struct plot *plot, const struct frame *frame, bool dot,
		       const struct point *point)
{
	double inner_width = WIDTH - LEFT - RIGHT, inner_height = HEIGHT - TOP - BOTTOM;
	double x = LEFT + inner_width * point->x / frame->x_max;
	double y = TOP + inner_height * (1 - height_of(plot, point) / frame->y_max);

	if (dot)
		fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\">", x, y);
	else
		fprintf(out, "%.1f,%.1f ", x, y);
	if (dot)
		fprintf(out, "<title>%.1f at %.3f s</title></circle>", point->y, point->x);
}

static void draw_line(FILE *out, const struct plot *plot, const struct frame *frame,
		      const struct series *series)
{
	size_t part = (series->nr + POINTS_MAX / 2 - 1) / (POINTS_MAX / 2), i, j;

	for (i = 0; series->nr > POINTS_MAX && i < series->nr; i += part) {
		size_t low = i, high = i;

		for (j = i; j < i + part && j < series->nr; j++) {
			low = series->points[j].y < series->points[low].y ? j : low;
			high = series->points[j].y > series->points[high].y ? j : high;
		}
		draw_point(out, plot, frame, false, &series->points[low < high ? low : high]);
		if (low != high)
			draw_point(out, plot, frame, false,
				   &series->points[low < high ? high : low]);
	}
	for (i = 0; series->nr <= POINTS_MAX && i < series->nr; i++)
		draw_point(out, plot, frame, false, &series->points[i]);
}

static void draw_series(FILE *out, const struct plot *plot, const struct frame *frame,
			const struct series *series)
{
	size_t i;

	fprintf(out, "<g data-series=\"%s\" data-points=\"%zu\" ", series->name, series->nr);
	if (series->dots) {
		fprintf(out, "fill=\"%s\">", series->colour);
		for (i = 0; i < series->nr; i++)
			draw_point(out, plot, frame, true, &series->points[i]);
		fputs("</g>\n", out);
		return;
	}
	fprintf(out, "stroke=\"%s\" fill=\"none\" stroke-width=\"1.5\"><polyline points=\"",
		series->colour);
	draw_line(out, plot, frame, series);
	fputs("\"/></g>\n", out);
}

/* Its name, and how high it went. */
static void draw_legend(FILE *out, const struct series *series, double *x)
{
	double most = 0;
	char text[96];
	size_t i;

	for (i = 0; i < series->nr; i++)
		most = fmax(most, series->points[i].y);
	snprintf(text, sizeof(text), most < 100 ? "%s, most %.3g" : "%s, most %.0f",
		 series->title, most);
	fprintf(out, "<rect x=\"%.0f\" y=\"8\" width=\"10\" height=\"10\" fill=\"%s\"/>", *x,
		series->colour);
	fprintf(out, "<text x=\"%.0f\" y=\"17\">%s</text>\n", *x + 14, text);
	*x += 30 + 5.6 * (double)strlen(text);
}

static void draw(FILE *out, const struct plot *plot, double x_max)
{
	struct frame frame = { .x_max = x_max > 0 ? x_max : 1 };
	double x_step, y_step, x = LEFT;
	unsigned int i;
	size_t j;

	for (i = 0; i < plot->nr; i++)
		for (j = 0; j < plot->series[i].nr; j++)
			frame.y_max = fmax(frame.y_max,
					   height_of(plot, &plot->series[i].points[j]));
	if (frame.y_max <= 0)
		frame.y_max = 1;
	y_step = plot->logarithmic ? 1 : nice(frame.y_max / TICKS);
	frame.y_max = ceil(frame.y_max / y_step) * y_step;
	x_step = nice(frame.x_max / TICKS);
	fprintf(out, "<h3>%s <small>%s</small></h3>\n<p>%s</p>\n", plot->title, plot->unit,
		plot->note);
	fprintf(out, "<svg viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" role=\"img\">\n", WIDTH, HEIGHT,
		WIDTH);
	draw_axes(out, plot, x_step, frame.x_max, y_step, frame.y_max);
	for (i = 0; i < plot->nr; i++) {
		draw_series(out, plot, &frame, &plot->series[i]);
		draw_legend(out, &plot->series[i], &x);
	}
	fputs("</svg>\n", out);
}

static void draw_and_free(FILE *out, struct plot *plot, double x_max)
{
	unsigned int i;

	draw(out, plot, x_max);
	for (i = 0; i < plot->nr; i++)
		free(plot->series[i].points);
	plot->nr = 0;
}

static void figure(FILE *out, const char *name, double value, const char *unit)
{
	/* Three digits, and what is before the point in any case. */
	fprintf(out, "<tr><th>%s</th><td>%.*f %s</td></tr>\n", name,
		!*unit || value >= 100 ? 0 : value >= 10 ? 1 : 2, value, unit);
}

static void word_of(const struct text *text, const char *name, char *out, size_t room)
{
	const char *at = strstr(text->bytes, name);

	snprintf(out, room, "%.*s", at ? (int)strcspn(at + strlen(name), "\n") : 1,
		 at ? at + strlen(name) : "?");
}

static int by_height(const void *a, const void *b)
{
	const struct point *one = a, *other = b;

	return one->y < other->y ? -1 : one->y > other->y;
}

/* Of the pauses that were recorded. */
static void draw_quantiles(FILE *out, const struct samples *samples, const struct sample *heap,
			   size_t nr)
{
	struct plot plot = { .nr = 0 };
	struct series *all;

	pauses(&plot, samples, heap, nr);
	all = &plot.series[0];
	if (all->nr) {
		qsort(all->points, all->nr, sizeof(*all->points), by_height);
		figure(out, "pause, half are up to", all->points[all->nr / 2].y, "us");
		figure(out, "pause, 99 in 100 are up to", all->points[all->nr * 99 / 100].y, "us");
		figure(out, "pause, the longest", all->points[all->nr - 1].y, "us");
	}
	free(all->points);
}

static void draw_summary(FILE *out, const struct samples *samples, const struct sample *heap,
			 size_t nr)
{
	const struct source *last = &heap[nr - 1].source;
	uint64_t peak = 0, live = 0, value;
	time_t begin = (time_t)(heap[0].ns / 1000000000);
	char text[64] = "?";
	struct tm tm;
	size_t i;

	for (i = 0; i < nr; i++) {
		if (source_value(&heap[i].source, "heap_inuse", &value) && value > peak)
			peak = value;
		if (source_value(&heap[i].source, "heap_live", &value) && value > live)
			live = value;
	}
	if (gmtime_r(&begin, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &tm);
	fprintf(out, "<table>\n<tr><th>begun</th><td>%s</td></tr>\n", text);
	figure(out, "recorded", (double)(heap[nr - 1].ns - heap[0].ns) / 1e9, "s");
	figure(out, "samples", (double)nr, "");
	figure(out, "most live", (double)live / MIB, "MiB");
	figure(out, "most in use", (double)peak / MIB, "MiB");
	figure(out, "allocated in all", (double)source_number(last, "total_alloc") / MIB, "MiB");
	fputs("</table>\n<table>\n", out);
	figure(out, "cycles", (double)source_number(last, "num_gc"), "");
	draw_quantiles(out, samples, heap, nr);
	figure(out, "CPU time of marking", (double)source_number(last, "gc_cpu_ns") / 1e6, "ms");
	figure(out, "threads assisted", (double)source_number(last, "assist_ns") / 1e6, "ms");
	figure(out, "threads stalled", (double)source_number(last, "stall_ns") / 1e6, "ms");
	fputs("</table>\n", out);
}

static void draw_heap(FILE *out, const struct samples *samples, const struct sample *heap,
		      size_t nr)
{
	double x_max = seconds(samples, samples->last);
	char comm[32], backend[16];
	struct plot plot = { .nr = 0 };

	word_of(&heap->source.text, "\ncomm: ", comm, sizeof(comm));
	word_of(&heap->source.text, "\nbackend: ", backend, sizeof(backend));
	fprintf(out, "<section data-heap=\"%u\">\n<h2>heap %u of ", heap->source.heap,
		heap->source.heap);
	escaped(out, comm);
	fputs(", backend ", out);
	escaped(out, backend);
	fputs("</h2>\n", out);
	draw_summary(out, samples, heap, nr);

	plot.title = "Heap and goal";
	plot.unit = "MiB";
	plot.note = "In use far above allocated: fragmentation. Live that rises: growth.";
	level(&plot, samples, heap, nr, "heap_sys", "address space", "#c7c7c7");
	level(&plot, samples, heap, nr, "heap_inuse", "in use", "#1f77b4");
	level(&plot, samples, heap, nr, "heap_alloc", "allocated", "#17becf");
	level(&plot, samples, heap, nr, "heap_live", "live", "#2ca02c");
	level(&plot, samples, heap, nr, "next_gc", "goal", "#ff7f0e");
	draw_and_free(out, &plot, x_max);

	plot.title = "Pauses";
	plot.unit = "microseconds, a dot a cycle";
	plot.note = "The longest stop of any one thread in each cycle.";
	plot.logarithmic = true;
	pauses(&plot, samples, heap, nr);
	draw_and_free(out, &plot, x_max);
	plot.logarithmic = false;

	plot.title = "CPU share of collection";
	plot.unit = "CPUs";
	plot.note = "Assists: allocating threads had to mark, because the collector was late.";
	rate(&plot, samples, heap, nr, "gc_cpu_ns", "marking", "#1f77b4", 1e9);
	rate(&plot, samples, heap, nr, "assist_ns", "assists", "#ff7f0e", 1e9);
	rate(&plot, samples, heap, nr, "worker_ns", "arena's thread", "#7f7f7f", 1e9);
	draw_and_free(out, &plot, x_max);

	plot.title = "Time that threads lost";
	plot.unit = "threads";
	plot.note = "1: one thread stood still all the time. Stalls wait for a cycle's end.";
	rate(&plot, samples, heap, nr, "account_assist_ns", "assist", "#ff7f0e", 1e9);
	rate(&plot, samples, heap, nr, "account_stall_ns", "stall", "#d62728", 1e9);
	rate(&plot, samples, heap, nr, "account_handshake_ns", "handshake", "#9467bd", 1e9);
	rate(&plot, samples, heap, nr, "account_refill_ns", "refill", "#1f77b4", 1e9);
	draw_and_free(out, &plot, x_max);

	plot.title = "Releases";
	plot.unit = "MiB";
	plot.note = "Free memory that is not given back waits for the next allocations.";
	level(&plot, samples, heap, nr, "heap_idle", "free", "#7f7f7f");
	level(&plot, samples, heap, nr, "heap_released", "of that, not backed", "#1f77b4");
	level(&plot, samples, heap, nr, "scavenged_bytes", "given back so far", "#2ca02c");
	draw_and_free(out, &plot, x_max);

	plot.title = "Fragmentation and huge pages";
	plot.unit = "share";
	plot.note = "Fragmentation: of what chunks in use take, memory that is free in them.";
	ratios(&plot, samples, heap, nr);
	draw_and_free(out, &plot, x_max);
	fputs("</section>\n", out);
}

static void draw_page(FILE *out, const char *path, const struct samples *samples)
{
	size_t from, to;

	fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>gcarena: ",
	      out);
	escaped(out, path);
	fputs("</title>\n<style>\n", out);
	fputs("body { font: 14px sans-serif; max-width: 940px; margin: 2em auto }\n", out);
	fputs("table { display: inline-table; vertical-align: top; margin-right: 4em }\n", out);
	fputs("h3 { margin-bottom: 0 }\np { color: #777; margin: 0 0 .4em }\n", out);
	fputs("svg { background: #fff; max-width: 100% }\n", out);
	fputs("svg text { font: 11px sans-serif; fill: #444 }\n", out);
	fputs(".grid { stroke: #e5e5e5 }\nsmall { color: #777; font-weight: normal }\n", out);
	fputs("th { text-align: left; font-weight: normal; padding-right: 2em }\n", out);
	fputs("td { text-align: right }\n</style></head><body>\n<h1>", out);
	escaped(out, path);
	fputs("</h1>\n", out);
	for (from = 0; from < samples->nr; from = to) {
		for (to = from + 1; to < samples->nr; to++)
			if (samples->all[to].source.heap != samples->all[from].source.heap)
				break;
		draw_heap(out, samples, &samples->all[from], to - from);
	}
	fputs("</body></html>\n", out);
}

static int write_page(const char *output, const char *path, const struct samples *samples)
{
	FILE *out = output ? fopen(output, "we") : stdout;
	int status = TOOL_OK;

	if (!out)
		return tool_fail("%s: %s", output, strerror(errno));
	draw_page(out, path, samples);
	if (fflush(out) || ferror(out))
		status = tool_fail("%s: %s", output ? output : "stdout", strerror(errno));
	if (output && fclose(out) && status == TOOL_OK)
		status = tool_fail("%s: %s", output, strerror(errno));
	return status;
}

/**
 * command_report - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_report(int argc, char **argv)
{
	static const struct option options[] = {
		{ "output", required_argument, NULL, 'o' },
		{ 0 }
	};
	struct samples samples = { 0 };
	const char *output = NULL;
	int c, status;
	size_t i;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 'o')
			return tool_usage();
		output = optarg;
	}
	if (argc - optind != 1)
		return tool_misused("one recording is to be named");
	status = read_recording(argv[optind], &samples);
	if (status == TOOL_OK) {
		qsort(samples.all, samples.nr, sizeof(*samples.all), by_heap);
		status = write_page(output, argv[optind], &samples);
	}
	for (i = 0; i < samples.nr; i++)
		text_free(&samples.all[i].source.text);
	free(samples.all);
	return status;
}
