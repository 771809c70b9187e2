// SPDX-License-Identifier: MIT
/*
 * The environment: what the user of a program sets without touching it.
 *
 * Read once, by gca_open().  A variable that cannot be understood is an error
 * naming it and its value: a limit with a misspelt unit must not silently be
 * none, and an empty one was meant to be something.
 */
#include "internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#define PERCENT_MAX	1000000	/* ten thousand times the live heap */

static const char *variable(const char *name)
{
	return secure_getenv(name);
}

static int bad(const char *name, const char *value, const char *want)
{
	return error_set(-EINVAL, "%s=%s: %s", name, value, want);
}

/* Decimal digits up to @end, at least one: false for none or too many. */
static bool number(const char *text, const char **end, uint64_t *out)
{
	uint64_t value = 0;

	if (*text < '0' || *text > '9')
		return false;
	for (; *text >= '0' && *text <= '9'; text++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*text - '0'), &value))
			return false;
	*end = text;
	*out = value;
	return true;
}

static int read_backend(struct gca_config *config)
{
	static const char name[] = "GCARENA_BACKEND";
	const char *value = variable(name);

	if (!value)
		return 0;
	if (!strcmp(value, "auto"))
		config->backend = GCA_BACKEND_AUTO;
	else if (!strcmp(value, "device"))
		config->backend = GCA_BACKEND_DEVICE;
	else if (!strcmp(value, "process"))
		config->backend = GCA_BACKEND_PROCESS;
	else
		return bad(name, value, "must be device, process or auto");
	return 0;
}

static int read_generations(struct gca_config *config)
{
	static const char name[] = "GCARENA_GENERATIONS";
	const char *value = variable(name);

	if (!value)
		return 0;
	if (!strcmp(value, "off"))
		config->generations = GCA_GENERATIONS_OFF;
	else if (!strcmp(value, "auto"))
		config->generations = GCA_GENERATIONS_AUTO;
	else if (!strcmp(value, "on"))
		config->generations = GCA_GENERATIONS_ON;
	else
		return bad(name, value, "must be off, auto or on");
	return 0;
}

static int read_percent(struct gca_config *config)
{
	static const char name[] = "GCARENA_PERCENT";
	const char *value = variable(name), *end;
	uint64_t percent;

	if (!value)
		return 0;
	if (!strcmp(value, "off")) {
		config->percent = GCA_PERCENT_OFF;
		return 0;
	}
	if (!number(value, &end, &percent) || *end || !percent || percent > PERCENT_MAX)
		return bad(name, value, "must be a number from 1 to 1000000, or off");
	config->percent = (int)percent;
	return 0;
}

/* Bytes above 0, with a unit or without. */
static bool size(const char *text, size_t *out)
{
	static const struct {
		const char *name;
		unsigned int shift;
	} units[] = { { "", 0 }, { "KiB", 10 }, { "MiB", 20 }, { "GiB", 30 } };
	const char *end;
	uint64_t bytes;
	size_t i;

	if (!number(text, &end, &bytes) || !bytes)
		return false;
	for (i = 0; i < ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].name) || bytes > UINT64_MAX >> units[i].shift)
			continue;
		*out = bytes << units[i].shift;
		return true;
	}
	return false;
}

static int read_limit(struct gca_config *config, struct gca_heap *heap)
{
	static const char name[] = "GCARENA_LIMIT";
	const char *value = variable(name), *end;
	uint64_t bytes;

	if (!value)
		return 0;
	if (!strcmp(value, "off")) {
		config->limit = 0;
		return 0;
	}
	if (!strcmp(value, "cgroup")) {
		heap->follow_cgroup = 100;
		return 0;
	}
	if (number(value, &end, &bytes) && !strcmp(end, "%") && bytes && bytes <= 100) {
		heap->follow_cgroup = (uint32_t)bytes;
		return 0;
	}
	if (size(value, &config->limit))
		return 0;
	return bad(name, value, "must be bytes, KiB, MiB, GiB, cgroup, per cent of it, or off");
}

static int read_heap_max(struct gca_config *config)
{
	static const char name[] = "GCARENA_HEAP_MAX";
	const char *value = variable(name);

	if (!value || size(value, &config->heap_max))
		return 0;
	if (strcmp(value, "off"))
		return bad(name, value, "must be bytes, KiB, MiB, GiB, or off");
	config->heap_max = 0;
	return 0;
}

static int read_count(const char *name, unsigned int max, unsigned int *out)
{
	const char *value = variable(name), *end;
	uint64_t count;

	if (!value)
		return 0;
	if (!number(value, &end, &count) || *end || !count || count > max) {
		char want[64];

		snprintf(want, sizeof(want), "must be a number from 1 to %u", max);
		return bad(name, value, want);
	}
	*out = (unsigned int)count;
	return 0;
}

static int read_signal(struct gca_heap *heap)
{
	static const char name[] = "GCARENA_SIGNAL";
	const char *value = variable(name), *end;
	uint64_t count;

	if (!value)
		return 0;
	if (!strcmp(value, "off")) {
		heap->stop_signal = -1;
		return 0;
	}
	if (!number(value, &end, &count) || *end || count < (uint64_t)SIGRTMIN ||
	    count > (uint64_t)SIGRTMAX) {
		char want[64];

		snprintf(want, sizeof(want), "must be a real-time signal, %d to %d, or off",
			 SIGRTMIN, SIGRTMAX);
		return bad(name, value, want);
	}
	heap->stop_signal = (int)count;
	return 0;
}

#define KEYS	"the keys are verify, shadow, gctrace, poison, pacertrace, stress, scavtrace"

static int read_debug(struct gca_heap *heap)
{
	static const char name[] = "GCARENA_DEBUG";
	const struct {
		const char *name;
		bool *flag;
	} keys[] = {
		{ "verify", &heap->debug_verify },
		{ "shadow", &heap->debug_shadow },
		{ "gctrace", &heap->debug_gctrace },
		{ "poison", &heap->debug_poison },
		{ "pacertrace", &heap->debug_pacertrace },
		{ "stress", &heap->debug_stress },
		{ "scavtrace", &heap->debug_scavtrace },
	};
	const char *value = variable(name), *at = value;
	size_t i, length;

#ifdef GCA_DEBUG
	heap->debug_shadow = true;
#endif
	while (at) {
		for (i = 0; i < ARRAY_SIZE(keys); i++) {
			length = strlen(keys[i].name);
			if (!strncmp(at, keys[i].name, length) && at[length] == '=')
				break;
		}
		if (i == ARRAY_SIZE(keys))
			return bad(name, value, KEYS);
		at += length + 1;
		if ((*at != '0' && *at != '1') || (at[1] && at[1] != ','))
			return bad(name, value, "a key's value is 0 or 1");
		*keys[i].flag = *at == '1';
		at = at[1] ? at + 2 : NULL;
	}
	heap->debug_poison |= heap->debug_stress;
	return 0;
}

/**
 * env_read - let the environment override a configuration
 * @config: the program's
 * @heap: whose debug switches are set
 *
 * Return: 0, or -EINVAL with gca_error() naming the variable and its value.
 */
int env_read(struct gca_config *config, struct gca_heap *heap)
{
	int error = read_backend(config);

	if (!error)
		error = read_percent(config);
	if (!error)
		error = read_limit(config, heap);
	if (!error)
		error = read_heap_max(config);
	if (!error)
		error = read_generations(config);
	if (!error)
		error = read_count("GCARENA_SHARE", 100, &config->share);
	if (!error)
		error = read_count("GCARENA_WORKERS", WORKERS_MAX, &config->workers);
	if (!error)
		error = read_signal(heap);
	if (!error)
		error = read_debug(heap);
	if (!error)
		error = profile_env(heap);
	if (!error)
		error = timeline_open(heap);
	return error;
}
