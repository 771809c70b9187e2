// SPDX-License-Identifier: MIT
/*
 * The gcarena tool on an arena of no library, which only debugfs tells of: what top, map,
 * check and export say of it against what was done; what they say to somebody who may not
 * read debugfs, and of an arena that died meanwhile.
 */
#include <stdarg.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "guest.h"

#define SIZE	(64 * MIB)
#define NAME	"gca-tools"
#define NOBODY	65534

static char tool[4096];
static char said[256 << 10];

/* What the tool prints, both ways, as @uid: its status. */
static int gcarena(uid_t uid, const char *format, ...)
{
	char arguments[256], command[8192];
	size_t length = 0;
	va_list args;
	FILE *pipe;
	int status;

	va_start(args, format);
	vsnprintf(arguments, sizeof(arguments), format, args);
	va_end(args);
	snprintf(command, sizeof(command), "%s %s 2>&1", tool, arguments);
	fflush(stdout);
	if (uid && seteuid(uid))
		bail("seteuid: %s", strerror(errno));
	pipe = popen(command, "r");
	if (!pipe)
		bail("popen: %s", strerror(errno));
	length = fread(said, 1, sizeof(said) - 1, pipe);
	said[length] = 0;
	status = pclose(pipe);
	if (uid && seteuid(0))
		bail("seteuid: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool has(const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (strstr(said, text))
		return true;
	printf("# no '%s' in:\n", text);
	for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		printf("#   %.200s\n", line);
	return false;
}

/* The line of @chunk in the terminal's picture, behind its bar. */
static const char *picture(unsigned int chunk)
{
	char want[16], *at;

	snprintf(want, sizeof(want), "\n%6u ", chunk);
	/* The first line has none before it. */
	at = strstr(said, want);
	if (!at)
		at = !strncmp(said, want + 1, strlen(want + 1)) ? said - 1 : NULL;
	at = at ? strchr(at + 1, '|') : NULL;
	return at ? at + 1 : "";
}

static unsigned int cells(const char *line, char letter)
{
	unsigned int nr = 0;

	for (; *line && *line != '|'; line++)
		nr += *line == letter;
	return nr;
}

static void test_top(struct arena *a)
{
	unsigned int id = a->setup.id;

	eq(gcarena(0, "top --once"), 0, "top ends well");
	ok(has("%7d %-15s    - %5u ", getpid(), NAME, id), "and has the arena, of no heap");
	eq(gcarena(0, "top --once --json"), 0, "as JSON too");
	ok(has("\"pid\":%d,\"heap\":0,\"arena\":%u,\"comm\":\"" NAME "\"", getpid(), id),
	   "whose it is");
	ok(has("\"heap_inuse\":%ld", g_debugfs_stat(id, "heap_inuse")), "and debugfs' figures");
	eq(gcarena(0, "export"), 0, "export ends well");
	ok(has("gcarena_heap_inuse_bytes{pid=\"%d\",comm=\"%s\",heap=\"0\",arena=\"%u\"} %ld\n",
	       getpid(), NAME, id, g_debugfs_stat(id, "heap_inuse")), "and has it too");
	eq(gcarena(0, "check %u", id), 0, "check");
	ok(has("arena %u: ok", id), "says that it is well");
}

/* Objects of 16 bytes are in pages of their own, 8 KiB objects in 64 pages together. */
static void test_map(struct arena *a)
{
	struct gcarena_span small[8], chunky, large;
	unsigned int sixteen = 0, eight = 0, many = 0, i;
	uint32_t chunk;

	eq(g_refill(a, C_16, 0, small, 8), 8, "spans of small objects");
	eq(g_refill(a, C_CHUNKY, 0, &chunky, 1), 1, "one of 8 KiB objects");
	eq(g_refill(a, C_LARGE, 2 * GCARENA_CHUNK_PAGES, &large, 1), 1, "and a large one");
	for (i = 0; i < 8; i++)
		*g_addr(a, small[i].page) = 1;
	test_top(a);
	eq(gcarena(0, "map %u", a->setup.id), 0, "a map");
	for (i = 0; i < SIZE / CHUNK; i++) {
		sixteen += cells(picture(i), 'a');
		eight += cells(picture(i), 'j');
		many += cells(picture(i), 'L');
	}
	ok(sixteen >= 2, "with pages of 16-byte objects: %u columns", sixteen);
	ok(eight >= 16, "64 pages of 8 KiB objects: %u columns", eight);
	eq(many, 2 * 64, "and the large one's two chunks");
	chunk = large.page / GCARENA_CHUNK_PAGES;
	eq(gcarena(0, "map --svg %u", a->setup.id), 0, "as SVG");
	ok(has("<g data-chunk=\"%u\">", chunk), "with the large one's first chunk");
	ok(gcarena(0, "map --svg %u", a->setup.id) == 0 && has("objects of 16 bytes"),
	   "and sizes of objects");
	ok(gcarena(0, "map --svg %u", a->setup.id) == 0 && has("</svg>\n"), "to its end");
	eq(g_return(a, &large, 1), 0, "the large one goes");
	g_scavenge(a, GCARENA_SCAVENGE_ALL, 0);
	eq(gcarena(0, "map %u", a->setup.id), 0, "a map then");
	for (i = 0, many = 0; i < SIZE / CHUNK; i++)
		many += cells(picture(i), 'L');
	eq(many, 0, "has it no more");
}

static void test_refused(struct arena *a, unsigned int gone)
{
	eq(gcarena(NOBODY, "map %u", a->setup.id), 1, "map, for nobody");
	ok(has("permission denied"), "is refused, and why");
	eq(gcarena(NOBODY, "check %u", a->setup.id), 1, "check, for nobody");
	ok(has("permission denied"), "likewise");
	eq(gcarena(NOBODY, "top --once"), 0, "top has nothing for nobody");
	ok(has("no heap that this user may see"), "and says so");
	eq(gcarena(0, "map %u", gone), 1, "an arena that died");
	ok(has("no arena %u", gone), "is no arena");
	eq(gcarena(0, "check %u", gone), 1, "nor to be checked");
}

int main(void)
{
	struct arena a, short_lived;
	unsigned int gone;
	ssize_t length;
	char *at;

	length = readlink("/proc/self/exe", tool, sizeof(tool) - 64);
	tool[length < 0 ? 0 : length] = 0;
	at = strstr(tool, "/selftests/");
	if (!at)
		bail("%s", tool);
	strcpy(at, "/tools/gcarena");
	prctl(PR_SET_NAME, NAME);
	g_open(&a, SIZE);
	g_open(&short_lived, SIZE);
	gone = short_lived.setup.id;
	g_close(&short_lived);
	g_wait_for(!g_debugfs_has(gone), 5000);
	test_map(&a);
	test_refused(&a, gone);
	g_close(&a);
	return tap_done();
}
