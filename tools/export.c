// SPDX-License-Identifier: MIT
/*
 * gcarena export: all heaps as metrics in Prometheus' text format, on stdout, as a file
 * for node_exporter's textfile collector (written beside it and renamed: nobody reads half
 * of it), or over HTTP.
 *
 * Names and units by Prometheus' conventions: base units, _total on what counts up.  A
 * figure that a source does not have is left out, never made up.  What each metric
 * is: Documentation/observability.rst.
 */
#include "sources.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKETS_MAX	64u
#define NS		0.000000001
#define TIMEOUT_S	10u	/* that an HTTP client may be silent */
#define CONNECTIONS	16u	/* of HTTP clients at once */

static const struct family {
	const char *name;
	const char *type;
	const char *help;
	const char *source;	/* what the endpoint or debugfs calls it */
	double scale;		/* of that to the base unit */
	bool zero_is_none;	/* and all ones: nothing is set */
} families[] = {
	{ "gcarena_heap_inuse_bytes", "gauge", "Bytes in spans in use.", "heap_inuse", 1, false },
	{ "gcarena_heap_idle_bytes", "gauge", "Bytes in free pages.", "heap_idle", 1, false },
	{ "gcarena_heap_released_bytes", "gauge",
	  "Bytes of free pages that were given back to the system.", "heap_released", 1, false },
	{ "gcarena_heap_sys_bytes", "gauge", "Bytes of address space taken into use.",
	  "heap_sys", 1, false },
	{ "gcarena_heap_alloc_bytes", "gauge",
	  "Bytes of objects that are live or not yet found dead.", "heap_alloc", 1, false },
	{ "gcarena_heap_live_bytes", "gauge", "Bytes that the last cycle marked.", "heap_live",
	  1, false },
	{ "gcarena_heap_objects", "gauge", "Objects that are live or not yet found dead.",
	  "heap_objects", 1, false },
	{ "gcarena_sys_bytes", "gauge", "Bytes of address space in all, tables included.", "sys",
	  1, false },
	{ "gcarena_next_gc_bytes", "gauge", "The goal of heap_alloc for the next cycle.",
	  "next_gc", 1, true },
	{ "gcarena_limit_bytes", "gauge", "The limit on memory in use, if there is one.", "limit",
	  1, true },
	{ "gcarena_partial_idle_bytes", "gauge",
	  "Bytes that are free and backed in chunks that are in use.", "partial_idle_bytes", 1,
	  false },
	{ "gcarena_mutators", "gauge", "Threads attached.", "mutators", 1, false },
	{ "gcarena_pressure_level", "gauge", "Memory pressure: 0 none, 1 some, 2 full.",
	  "pressure", 1, false },
	{ "gcarena_generation", "gauge", "Of sweeping, of this snapshot.", "generation", 1,
	  false },
	{ "gcarena_snapshot_sequence", "gauge",
	  "Which state of the arena's counters this is: equal means the same figures.",
	  "sequence", 1, false },
	{ "gcarena_last_gc_timestamp_seconds", "gauge", "When the last cycle ended.", "last_gc",
	  NS, true },
	{ "gcarena_alloc_bytes_total", "counter", "Bytes allocated.", "total_alloc", 1, false },
	{ "gcarena_mallocs_total", "counter", "Objects allocated.", "mallocs", 1, false },
	{ "gcarena_frees_total", "counter", "Objects found dead.", "frees", 1, false },
	{ "gcarena_failed_allocs_total", "counter", "Allocations that returned NULL.",
	  "failed_allocs", 1, false },
	{ "gcarena_gc_cycles_total", "counter", "Cycles.", "num_gc", 1, false },
	{ "gcarena_gc_forced_cycles_total", "counter", "Cycles that the program asked for.",
	  "num_forced_gc", 1, false },
	{ "gcarena_gc_minor_cycles_total", "counter",
	  "Of the cycles: minor ones, which marked only what is not old.", "minor_gc", 1, false },
	{ "gcarena_gc_cards_scanned_total", "counter",
	  "Dirty cards (512 bytes) that minor cycles looked at.", "cards_scanned", 1, false },
	{ "gcarena_gc_old_bytes", "gauge",
	  "Bytes that the last cycle took for alive unseen, if it was a minor one.", "old_bytes",
	  1, false },
	{ "gcarena_gc_cpu_seconds_total", "counter", "CPU time of marking.", "gc_cpu_ns", NS,
	  false },
	{ "gcarena_gc_idle_cpu_seconds_total", "counter",
	  "CPU time of marking on CPUs that were idle, beside that.", "gc_idle_ns", NS, false },
	{ "gcarena_gc_assist_seconds_total", "counter",
	  "Time that allocating threads spent marking.", "assist_ns", NS, false },
	{ "gcarena_gc_stall_seconds_total", "counter",
	  "Time that allocating threads waited for a cycle to end.", "stall_ns", NS, false },
	{ "gcarena_gc_stalls_total", "counter", "Such waits.", "stalls", 1, false },
	{ "gcarena_scavenged_bytes_total", "counter", "Bytes given back to the system.",
	  "scavenged_bytes", 1, false },
	{ "gcarena_reclaimed_bytes_total", "counter", "Bytes that came free inside reclaim.",
	  "shrink_bytes", 1, false },
	{ "gcarena_refills_total", "counter", "Refills.", "refill_calls", 1, false },
	{ "gcarena_refill_failures_total", "counter", "Refills without memory.", "refill_failed",
	  1, false },
	{ "gcarena_pressure_events_total", "counter", "Episodes of memory pressure.",
	  "pressure_events", 1, false },
	{ "gcarena_worker_cpu_seconds_total", "counter",
	  "CPU time of the arena's sweeping and scavenging thread.", "worker_ns", NS, false },
};

static void add_escaped(struct text *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			text_add(out, "\\%c", *text);
		else if (*text == '\n')
			text_add(out, "\\n");
		else
			text_append(out, text, 1);
	}
}

/* pid="1",comm="x",heap="1",arena="3" */
static void add_labels(struct text *out, const struct source *source)
{
	text_add(out, "pid=\"%u\",comm=\"", source->pid);
	add_escaped(out, source->comm);
	text_add(out, "\",heap=\"%u\",arena=\"%u\"", source->heap, source->arena);
}

static void add_head(struct text *out, const char *name, const char *type, const char *help)
{
	text_add(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Integers as they are: a double has no room for all of them. */
static void add_number(struct text *out, uint64_t value, double scale)
{
	if (scale == 1)
		text_add(out, " %" PRIu64 "\n", value);
	else
		text_add(out, " %.9f\n", (double)value * scale);
}

static void add_family(struct text *out, const struct family *family,
		       const struct sources *sources)
{
	bool first = true;
	uint64_t value;
	size_t i;

	for (i = 0; i < sources->nr; i++) {
		if (!source_value(&sources->all[i], family->source, &value))
			continue;
		if (family->zero_is_none && (!value || value == UINT64_MAX))
			continue;
		if (first)
			add_head(out, family->name, family->type, family->help);
		first = false;
		text_add(out, "%s{", family->name);
		add_labels(out, &sources->all[i]);
		text_add(out, "}");
		add_number(out, value, family->scale);
	}
}

static void add_ratio(struct text *out, const struct sources *sources, const char *name,
		      const char *help,
		      bool (*ratio)(const struct source *source, double *value))
{
	bool first = true;
	double value;
	size_t i;

	for (i = 0; i < sources->nr; i++) {
		if (!ratio(&sources->all[i], &value))
			continue;
		if (first)
			add_head(out, name, "gauge", help);
		first = false;
		text_add(out, "%s{", name);
		add_labels(out, &sources->all[i]);
		text_add(out, "} %.9f\n", value);
	}
}

static bool fragmentation(const struct source *source, double *value)
{
	*value = source_fragmentation(source);
	return true;
}

/* The numbers of a line: count, total, longest, buckets.  How many buckets; 0: no line. */
static unsigned int read_stops(const struct text *text, const char *name, uint64_t *count,
			       uint64_t *total_ns, uint64_t buckets[BUCKETS_MAX])
{
	struct text key = { 0 };
	unsigned int nr = 0;
	const char *at;
	char *end;

	text_add(&key, "\n%s: ", name);
	at = text->bytes ? strstr(text->bytes, key.bytes) : NULL;
	if (at) {
		at += key.length;
		*count = strtoull(at, &end, 10);
		*total_ns = strtoull(end, &end, 10);
		strtoull(end, &end, 10);
		while (*end == ' ' && nr < BUCKETS_MAX)
			buckets[nr++] = strtoull(end, &end, 10);
	}
	text_free(&key);
	return nr;
}

static void add_histogram(struct text *out, const char *name, const struct source *source,
			  const char *line, const char *label)
{
	uint64_t buckets[BUCKETS_MAX], count, total_ns, sum = 0;
	unsigned int nr = read_stops(&source->text, line, &count, &total_ns, buckets), i;

	for (i = 0; i < nr; i++) {
		sum += buckets[i];
		text_add(out, "%s_bucket{", name);
		add_labels(out, source);
		/* The last one has those that are longer as well. */
		if (i + 1 < nr)
			text_add(out, "%s,le=\"%.9f\"} %" PRIu64 "\n", label,
				 (double)(256ull << i) * NS, sum);
		else
			text_add(out, "%s,le=\"+Inf\"} %" PRIu64 "\n", label, sum);
	}
	if (!nr)
		return;
	text_add(out, "%s_sum{", name);
	add_labels(out, source);
	text_add(out, "%s} %.9f\n%s_count{", label, (double)total_ns * NS, name);
	add_labels(out, source);
	text_add(out, "%s} %" PRIu64 "\n", label, sum);
}

static void add_histograms(struct text *out, const struct sources *sources)
{
	static const char *const causes[] = {
		"black", "settle", "scan", "flush", "white", "world", "leave", "proxy", "signal",
	};
	char line[32], label[32];
	size_t i, j;

	if (!sources->nr)
		return;
	add_head(out, "gcarena_gc_pause_seconds", "histogram",
		 "The longest stop of any one thread in each cycle.");
	for (i = 0; i < sources->nr; i++)
		add_histogram(out, "gcarena_gc_pause_seconds", &sources->all[i], "pauses", "");
	add_head(out, "gcarena_stop_seconds", "histogram",
		 "Stops of single threads by the collector, by cause.");
	for (i = 0; i < sources->nr; i++)
		for (j = 0; j < sizeof(causes) / sizeof(causes[0]); j++) {
			snprintf(line, sizeof(line), "stops_%s", causes[j]);
			snprintf(label, sizeof(label), ",cause=\"%s\"", causes[j]);
			add_histogram(out, "gcarena_stop_seconds", &sources->all[i], line, label);
		}
}

/* Everything, asked for now.  Who does not answer is counted; @complain: and named. */
static void add_metrics(struct text *out, bool complain)
{
	struct sources sources = { 0 };
	unsigned int troubles = 0;
	const char *at;
	size_t i;

	sources_read(&sources);
	if (complain)
		sources_complain(&sources);
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		add_family(out, &families[i], &sources);
	add_ratio(out, &sources, "gcarena_fragmentation_ratio",
		  "Idle memory in chunks in use, of what these chunks take.",
		  fragmentation);
	add_ratio(out, &sources, "gcarena_huge_ratio", "Resident memory that is on huge pages.",
		  source_huge_share);
	add_histograms(out, &sources);
	for (at = sources.trouble.bytes; at && *at; at++)
		troubles += *at == '\n';
	add_head(out, "gcarena_exporter_unanswered", "gauge", "Processes that did not answer.");
	text_add(out, "gcarena_exporter_unanswered %u\n", troubles);
	add_head(out, "gcarena_exporter_info", "gauge", "The version of the exporter.");
	text_add(out, "gcarena_exporter_info{version=\"%s\"} 1\n", tool_version);
	sources_free(&sources);
}

/* ---------------------------------------------------------------- textfile */

static int write_file(const char *path)
{
	struct text text = { 0 }, beside = { 0 };
	const char *at;
	int fd, status = TOOL_OK;
	size_t left;

	add_metrics(&text, true);
	text_add(&beside, "%s.%d.tmp", path, getpid());
	fd = open(beside.bytes, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0) {
		status = tool_fail("%s: %s", beside.bytes, strerror(errno));
		text_free(&text);
		text_free(&beside);
		return status;
	}
	for (at = text.bytes, left = text.length; left && status == TOOL_OK;) {
		ssize_t written = write(fd, at, left);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			status = tool_fail("%s: %s", beside.bytes, strerror(errno));
		at += written > 0 ? written : 0;
		left -= written > 0 ? (size_t)written : 0;
	}
	if (status == TOOL_OK && fsync(fd))
		status = tool_fail("%s: %s", beside.bytes, strerror(errno));
	close(fd);
	if (status == TOOL_OK && rename(beside.bytes, path))
		status = tool_fail("%s: %s", path, strerror(errno));
	if (status != TOOL_OK)
		unlink(beside.bytes);
	text_free(&text);
	text_free(&beside);
	return status;
}

/* -------------------------------------------------------------------- HTTP */

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned int status,
			     const char *type, const char *bytes, size_t length)
{
	struct MHD_Response *response;
	enum MHD_Result result;

	response = MHD_create_response_from_buffer(length, (void *)bytes, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result on_request(void *unused, struct MHD_Connection *connection,
				  const char *url, const char *method, const char *version,
				  const char *upload, size_t *upload_size, void **state)
{
	static const char root[] = "gcarena: see /metrics\n", none[] = "not found\n",
			  only[] = "only GET\n";
	struct text text = { 0 };
	enum MHD_Result result;

	if (strcmp(method, MHD_HTTP_METHOD_GET) && strcmp(method, MHD_HTTP_METHOD_HEAD))
		return reply(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", only,
			     strlen(only));
	if (!strcmp(url, "/"))
		return reply(connection, MHD_HTTP_OK, "text/plain", root, strlen(root));
	if (strcmp(url, "/metrics"))
		return reply(connection, MHD_HTTP_NOT_FOUND, "text/plain", none, strlen(none));
	add_metrics(&text, false);
	result = reply(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8",
		       text.bytes, text.length);
	text_free(&text);
	return result;
}

/* [ADDRESS:]PORT; without an address, of this machine alone. */
static bool parse_address(const char *text, struct sockaddr_in *address)
{
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	char host[INET_ADDRSTRLEN] = "127.0.0.1";
	uint64_t number;

	if (colon) {
		if ((size_t)(colon - text) >= sizeof(host))
			return false;
		memcpy(host, text, (size_t)(colon - text));
		host[colon - text] = 0;
	}
	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	if (!tool_number(port, UINT16_MAX, &number))
		return false;
	address->sin_port = htons((uint16_t)number);
	return inet_pton(AF_INET, host, &address->sin_addr) == 1;
}

static int serve_http(const char *where)
{
	const union MHD_DaemonInfo *info;
	struct sockaddr_in address;
	struct MHD_Daemon *daemon;
	sigset_t set;
	int which;

	if (!parse_address(where, &address))
		return tool_misused("--listen %s: say PORT or ADDRESS:PORT", where);
	/* Before there are threads. */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG,
				  ntohs(address.sin_port), NULL, NULL, on_request, NULL,
				  MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
				  MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
				  MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
	if (!daemon)
		return tool_fail("cannot listen at %s: %s", where, strerror(errno));
	info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
	printf("listening at port %u\n", info ? info->port : ntohs(address.sin_port));
	if (tool_flush(TOOL_OK) == TOOL_OK)
		sigwait(&set, &which);
	MHD_stop_daemon(daemon);
	return TOOL_OK;
}

/**
 * command_export - the command of that name
 * @argc: of its own arguments
 * @argv: its name first
 *
 * Return: the exit status.
 */
int command_export(int argc, char **argv)
{
	static const struct option options[] = {
		{ "textfile", required_argument, NULL, 't' },
		{ "listen", required_argument, NULL, 'l' },
		{ 0 }
	};
	const char *file = NULL, *where = NULL;
	struct text text = { 0 };
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 't':
			file = optarg;
			break;
		case 'l':
			where = optarg;
			break;
		default:
			return tool_usage();
		}
	}
	if (optind != argc)
		return tool_misused("'%s' means nothing here", argv[optind]);
	if (file && where)
		return tool_misused("either --textfile or --listen");
	if (file)
		return write_file(file);
	if (where)
		return serve_http(where);
	add_metrics(&text, true);
	fwrite(text.bytes, 1, text.length, stdout);
	text_free(&text);
	return TOOL_OK;
}
