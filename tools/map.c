// SPDX-License-Identifier: MIT
/*
 * gcarena map: the chunks of an arena as a picture, on a terminal or as SVG: what is in
 * use and by objects of which size, free, released, on a huge page or not.
 *
 * The letters of a chunk's pages are those of "chunks" in debugfs, which the endpoint
 * gives as well; the sizes are from the spans.  Both are of no one moment.
 */
#include "sources.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGES		256u	/* of a chunk, 8 KiB each */
#define COLUMNS		64u	/* of a chunk on a terminal */
#define CHUNKS_MAX	(1u << 20)
#define ELEM_LARGE	0u	/* as in the class table: large, or manual */
/* SVG, in its units. */
#define PAGE_WIDTH	4u
#define ROW_HEIGHT	14u
#define MARGIN		70u

struct chunk {
	uint32_t index;
	char map[PAGES];	/* letters, as in debugfs */
	uint32_t elem[PAGES];	/* of the span that a page is of */
};

struct map {
	struct chunk *chunks;	/* ascending */
	size_t nr;
	uint32_t elem[65536];	/* by span class; of debugfs only */
};

static struct chunk *chunk_of(struct map *map, uint32_t page)
{
	size_t low = 0, high = map->nr, middle;

	while (low < high) {
		middle = (low + high) / 2;
		if (map->chunks[middle].index < page / PAGES)
			low = middle + 1;
		else
			high = middle;
	}
	return low < map->nr && map->chunks[low].index == page / PAGES ? &map->chunks[low] : NULL;
}

/* False: it makes no sense. */
static bool add_chunk(struct map *map, uint32_t index, const char *letters, size_t length)
{
	struct chunk *chunk;

	if (length != PAGES || strspn(letters, "HSWhsw-.") < PAGES || map->nr == CHUNKS_MAX ||
	    (map->nr && map->chunks[map->nr - 1].index >= index))
		return false;
	map->chunks = tool_realloc(map->chunks, (map->nr + 1) * sizeof(*map->chunks));
	chunk = &map->chunks[map->nr++];
	memset(chunk, 0, sizeof(*chunk));
	chunk->index = index;
	memcpy(chunk->map, letters, PAGES);
	return true;
}

/* False: it makes no sense. */
static bool add_span(struct map *map, uint32_t page, uint32_t npages, uint32_t elem)
{
	uint32_t i;

	if (npages > CHUNKS_MAX * PAGES || page > CHUNKS_MAX * PAGES - npages)
		return false;
	for (i = 0; i < npages; i++) {
		struct chunk *chunk = chunk_of(map, page + i);

		if (chunk)
			chunk->elem[(page + i) % PAGES] = elem;
		else	/* The rest of a large one may be where no chunk is shown. */
			i |= PAGES - 1;
	}
	return true;
}

typedef bool (*line_fn)(struct map *map, const char *line, size_t length);

/* Calls @fn for each line after the first until it returns false, which is a failure. */
static bool each_line(const char *text, line_fn fn, struct map *map)
{
	const char *line = strchr(text, '\n'), *end;

	for (line = line ? line + 1 : ""; *line; line = end + 1) {
		end = line + strcspn(line, "\n");
		if (!*end || !fn(map, line, (size_t)(end - line)))
			return false;
	}
	return true;
}

/* The endpoint's: chunks, then spans. */
static bool endpoint_line(struct map *map, const char *line, size_t length)
{
	uint32_t index, page, npages, class, elem;
	int at = 0;

	if (!strncmp(line, "page ", strlen("page ")))
		return true;
	if (sscanf(line, "%u %u %u %u", &page, &npages, &class, &elem) == 4)
		return add_span(map, page, npages, elem);
	if (sscanf(line, "%u %n", &index, &at) != 1 || !at || (size_t)at > length)
		return false;
	return add_chunk(map, index, line + at, length - (size_t)at);
}

static bool debugfs_chunk(struct map *map, const char *line, size_t length)
{
	uint32_t index;
	int at = 0;

	if (sscanf(line, "%u %*u %*u %*u %*s %*d %*u %n", &index, &at) != 1 || !at ||
	    (size_t)at > length)
		return false;
	return add_chunk(map, index, line + at, length - (size_t)at);
}

static bool debugfs_class(struct map *map, const char *line, size_t length)
{
	uint32_t class, elem;

	if (sscanf(line, "%u %u", &class, &elem) != 2 || class > UINT16_MAX)
		return false;
	map->elem[class] = elem;
	return true;
}

static bool debugfs_span(struct map *map, const char *line, size_t length)
{
	uint32_t page, npages, class;

	if (sscanf(line, "%u %u %u", &page, &npages, &class) != 3 || class > UINT16_MAX)
		return false;
	return add_span(map, page, npages, map->elem[class]);
}

static int read_debugfs(uint32_t id, struct map *map)
{
	static const struct {
		const char *name;
		line_fn line;
	} files[] = {
		{ "chunks", debugfs_chunk },
		{ "span_classes", debugfs_class },
		{ "spans", debugfs_span },
	};
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct text text = { 0 };
		int status = debugfs_read_or_fail(id, files[i].name, &text);

		if (status == TOOL_OK && !each_line(text.bytes, files[i].line, map))
			status = tool_fail("arena %u: %s is not what this version knows", id,
					   files[i].name);
		text_free(&text);
		if (status != TOOL_OK)
			return status;
	}
	return TOOL_OK;
}

static int read_endpoint(struct target *target, struct map *map)
{
	struct text request = { 0 }, text = { 0 };
	int status = endpoint_only_heap(target->pid, &target->heap);

	if (status == TOOL_OK) {
		text_add(&request, "map %u", target->heap);
		status = endpoint_ask(target->pid, request.bytes, &text);
	}
	if (status == TOOL_OK && !each_line(text.bytes, endpoint_line, map))
		status = tool_fail("process %u: its map is not what this version knows",
				   target->pid);
	text_free(&request);
	text_free(&text);
	return status;
}

/* ---------------------------------------------------------------- terminal */

static bool in_use(char letter)
{
	return letter == 'H' || letter == 'S' || letter == 'W' || letter == '-';
}

static bool has_memory(char letter)
{
	return letter != '.' && letter != '-';
}

/* 0 for up to 16 bytes, a step for each doubling; large ones at the end. */
static unsigned int size_step(uint32_t elem)
{
	unsigned int step = 0;

	if (elem == ELEM_LARGE)
		return 12;
	for (; (16u << step) < elem && step < 11; step++)
		;
	return step;
}

/* What a cell of several pages shows: the letter of its sizes, if any is in use. */
static char cell(const struct chunk *chunk, unsigned int from, unsigned int nr)
{
	static const char sizes[] = "abcdefghijklL";
	unsigned int i, used = 0, backed = 0, swapped = 0;
	uint32_t elem = 0;

	for (i = from; i < from + nr; i++) {
		if (in_use(chunk->map[i]) && !used++)
			elem = chunk->elem[i];
		backed += has_memory(chunk->map[i]);
		swapped += chunk->map[i] == 'W' || chunk->map[i] == 'w';
	}
	if (swapped)
		return '~';
	if (used)
		return sizes[size_step(elem)];
	return backed ? '_' : '.';
}

static char backing(const struct chunk *chunk)
{
	bool huge = memchr(chunk->map, 'H', PAGES) || memchr(chunk->map, 'h', PAGES);
	bool small = memchr(chunk->map, 'S', PAGES) || memchr(chunk->map, 's', PAGES);

	return huge && small ? '*' : huge ? 'H' : small ? 's' : ' ';
}

static bool all_released(const struct chunk *chunk)
{
	unsigned int i;

	for (i = 0; i < PAGES; i++)
		if (chunk->map[i] != '.')
			return false;
	return true;
}

static void print_terminal(const struct map *map)
{
	size_t i, released = 0;
	unsigned int column;

	for (i = 0; i < map->nr; i++) {
		if (all_released(&map->chunks[i])) {
			released++;
			continue;
		}
		printf("%6u %c |", map->chunks[i].index, backing(&map->chunks[i]));
		for (column = 0; column < COLUMNS; column++)
			putchar(cell(&map->chunks[i], column * (PAGES / COLUMNS), PAGES / COLUMNS));
		printf("|\n");
	}
	printf("%zu chunks of 2 MiB, a column 32 KiB; %zu released whole, not shown\n", map->nr,
	       released);
	printf("in use: a objects up to 16 bytes, b 32, c 64, ... l 32768, L large or manual\n");
	printf("_ free, . released, ~ swapped; H huge page, s small pages, * both\n");
}

/* --------------------------------------------------------------------- SVG */

#define COLOUR_SWAPPED	"#7a0177"
#define COLOUR_FREE	"#d9d9d9"
#define COLOUR_RELEASED	"#ffffff"

/* By size_step(). */
static const struct {
	const char *colour;
	const char *text;
} sizes[] = {
	{ "#08306b", "16" }, { "#08519c", "32" }, { "#2171b5", "64" }, { "#4292c6", "128" },
	{ "#6baed6", "256" }, { "#9ecae1", "512" }, { "#41ab5d", "1024" }, { "#74c476", "2048" },
	{ "#a1d99b", "4096" }, { "#fe9929", "8192" }, { "#ec7014", "16384" },
	{ "#cc4c02", "32768" }, { "#8c2d04", "large" },
};

#define NR_SIZES	(sizeof(sizes) / sizeof(sizes[0]))

static const char *colour(const struct chunk *chunk, unsigned int page)
{
	char letter = chunk->map[page];

	if (letter == 'W' || letter == 'w')
		return COLOUR_SWAPPED;
	if (in_use(letter))
		return sizes[size_step(chunk->elem[page])].colour;
	return has_memory(letter) ? COLOUR_FREE : COLOUR_RELEASED;
}

static void print_swatch(unsigned int *x, const char *fill, const char *text)
{
	printf("<rect x=\"%u\" y=\"3\" width=\"10\" height=\"%u\" ", *x, ROW_HEIGHT - 4);
	printf("fill=\"%s\" stroke=\"#bbb\"/>", fill);
	printf("<text x=\"%u\" y=\"%u\">%s</text>\n", *x + 14, ROW_HEIGHT - 2, text);
	*x += 26 + 7 * (unsigned int)strlen(text);
}

/* The first row. */
static void print_legend(void)
{
	unsigned int x = MARGIN;
	size_t i;

	printf("<text x=\"4\" y=\"%u\">objects of</text>\n", ROW_HEIGHT - 2);
	for (i = 0; i < NR_SIZES; i++)
		print_swatch(&x, sizes[i].colour, sizes[i].text);
	print_swatch(&x, COLOUR_FREE, "free");
	print_swatch(&x, COLOUR_RELEASED, "released");
	print_swatch(&x, COLOUR_SWAPPED, "swapped");
}

static const char *word(const struct chunk *chunk, unsigned int page, char *out, size_t room)
{
	char letter = chunk->map[page];

	if (!in_use(letter))
		return letter == '.' ? "released" : letter == 'w' ? "free, swapped" : "free";
	if (chunk->elem[page])
		snprintf(out, room, "in use, objects of %u bytes", chunk->elem[page]);
	else
		snprintf(out, room, "in use, large or manual");
	return out;
}

static void print_svg(const struct map *map)
{
	unsigned int width = MARGIN + PAGES * PAGE_WIDTH + MARGIN, from, to;
	char text[64];
	size_t i;

	printf("<svg xmlns=\"http://www.w3.org/2000/svg\" font-family=\"sans-serif\" ");
	printf("font-size=\"11\" width=\"%u\" height=\"%zu\">\n", width,
	       (map->nr + 2) * ROW_HEIGHT);
	printf("<rect width=\"100%%\" height=\"100%%\" fill=\"#f7f7f7\"/>\n");
	print_legend();
	for (i = 0; i < map->nr; i++) {
		const struct chunk *chunk = &map->chunks[i];
		size_t y = (i + 1) * ROW_HEIGHT + ROW_HEIGHT / 2;

		printf("<g data-chunk=\"%u\"><text x=\"4\" y=\"%zu\">%u %c</text>\n",
		       chunk->index, y + ROW_HEIGHT - 3, chunk->index, backing(chunk));
		for (from = 0; from < PAGES; from = to) {
			for (to = from + 1; to < PAGES; to++)
				if (chunk->map[to] != chunk->map[from] ||
				    chunk->elem[to] != chunk->elem[from])
					break;
			printf("<rect x=\"%u\" y=\"%zu\" width=\"%u\" height=\"%u\" fill=\"%s\">",
			       MARGIN + from * PAGE_WIDTH, y, (to - from) * PAGE_WIDTH,
			       ROW_HEIGHT - 2, colour(chunk, from));
			printf("<title>pages %u-%u: %s</title></rect>\n", from, to - 1,
			       word(chunk, from, text, sizeof(text)));
		}
		printf("</g>\n");
	}
	printf("</svg>\n");
}

/**
 * command_map - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_map(int argc, char **argv)
{
	static const struct option options[] = {
		{ "svg", no_argument, NULL, 's' },
		{ 0 }
	};
	struct target target;
	struct map *map;
	bool svg = false;
	int c, status;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c != 's')
			return tool_usage();
		svg = true;
	}
	if (argc - optind != 1)
		return tool_misused("one arena is to be named");
	if (!target_parse(argv[optind], &target))
		return TOOL_USAGE;
	map = tool_alloc(sizeof(*map));
	status = target.arena ? read_debugfs(target.arena, map) : read_endpoint(&target, map);
	if (status == TOOL_OK && svg)
		print_svg(map);
	else if (status == TOOL_OK)
		print_terminal(map);
	free(map->chunks);
	free(map);
	return status;
}
