// SPDX-License-Identifier: MIT
/*
 * Opening a heap: defaults, each field and each environment variable with good
 * and bad values, a backend that is not there, address space that is not there.
 */
#include "lib.h"

#include <sys/resource.h>
#include <sys/wait.h>

static const char * const variables[] = {
	"GCARENA_BACKEND", "GCARENA_PERCENT", "GCARENA_LIMIT", "GCARENA_DEBUG", "GCARENA_SHARE",
	"GCARENA_WORKERS", "GCARENA_GENERATIONS", "GCARENA_SIGNAL", "GCARENA_HEAP_MAX",
};

static const char *backend_name;	/* what the tests were started with */

static void reset(void)
{
	for (unsigned int i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	if (backend_name)
		setenv("GCARENA_BACKEND", backend_name, 1);
}

static int try_open(const struct gca_config *config)
{
	struct gca_heap *heap = NULL;
	int err = gca_open(config, &heap);

	if (!err && gca_close(heap))
		bail("gca_close: %s", gca_error());
	return err;
}

static void test_defaults(void)
{
	struct gca_config config;
	struct gca_heap *heap = NULL;

	memset(&config, 0xff, sizeof(config));
	gca_config_init(&config);
	eq(config.size, sizeof(config), "gca_config_init() sets the size");
	ok(config.backend == GCA_BACKEND_AUTO && config.mode == GCA_MODE_CONCURRENT &&
	   !config.limit && !config.device && !config.reserved,
	   "and the defaults");
	eq(gca_open(NULL, &heap), 0, "no config: defaults");
	ok(gca_backend(heap) == (test_on_device() ? GCA_BACKEND_DEVICE : GCA_BACKEND_PROCESS) ||
	   !backend_name, "the backend is the one asked for");
	eq(gca_set_percent(heap, 50), GCA_PERCENT_DEFAULT, "the percent was the default");
	eq(gca_set_percent(heap, GCA_PERCENT_OFF), 50, "and is what it was set to");
	eq(gca_set_percent(heap, 100), GCA_PERCENT_OFF, "off too");
	eq(gca_set_limit(heap, 64 * MIB), 0, "there was no limit");
	eq(gca_set_limit(heap, 0), 64 * MIB, "and now there was");
	eq(gca_close(heap), 0, "close");
}

#define BAD(change, name) do {							\
	struct gca_config config_;						\
	gca_config_init(&config_);						\
	config_.change;								\
	eq(try_open(&config_), -EINVAL, "%s is -EINVAL", name);			\
	ok(strlen(gca_error()) > 10, "and says: %s", gca_error());		\
} while (0)

static void test_fields(void)
{
	struct gca_config config;
	struct gca_heap *heap = NULL;

	BAD(size = 0, "size 0");
	BAD(size = 8, "a short size");
	BAD(backend = (enum gca_backend)7, "an unknown backend");
	BAD(mode = (enum gca_mode)9, "an unknown mode");
	BAD(percent = -2, "percent -2");
	BAD(heap_size = SIZE_MAX, "a heap of everything");
	BAD(heap_size = 1ul << 45, "a heap of 32 TiB");
	BAD(generations = 4, "generations");
	BAD(share = 101, "a share of more than all");
	BAD(workers = 65, "more than 64 workers");
	BAD(reserved = 1, "a reserved field");

	gca_config_init(&config);
	config.heap_size = 1;
	if (eq(gca_open(&config, &heap), 0, "a heap of one byte is one chunk")) {
		struct gca_mutator *m = attach(heap, GCA_STACK_PRECISE);

		ok(gca_new_bytes(m, 100), "which serves");
		ok(!gca_new_bytes(m, 3 * MIB), "but not 3 MiB");
		gca_detach(m);
		gca_close(heap);
	} else {
		diag("%s", gca_error());
	}
}

static void test_environment(void)
{
	static const struct {
		const char *variable;
		const char *value;
		int err;
	} cases[] = {
		{ "GCARENA_BACKEND", "auto", 0 },
		{ "GCARENA_BACKEND", "process", 0 },
		{ "GCARENA_BACKEND", "", -EINVAL },
		{ "GCARENA_BACKEND", "Process", -EINVAL },
		{ "GCARENA_BACKEND", "processor", -EINVAL },
		{ "GCARENA_PERCENT", "off", 0 },
		{ "GCARENA_PERCENT", "1", 0 },
		{ "GCARENA_PERCENT", "100", 0 },
		{ "GCARENA_PERCENT", "-5", -EINVAL },
		{ "GCARENA_PERCENT", "12x", -EINVAL },
		{ "GCARENA_PERCENT", "many", -EINVAL },
		{ "GCARENA_PERCENT", "99999999999999999999", -EINVAL },
		{ "GCARENA_LIMIT", "off", 0 },
		{ "GCARENA_LIMIT", "100000000", 0 },
		{ "GCARENA_LIMIT", "512KiB", 0 },
		{ "GCARENA_LIMIT", "64MiB", 0 },
		{ "GCARENA_LIMIT", "1GiB", 0 },
		{ "GCARENA_LIMIT", "1GB", -EINVAL },
		{ "GCARENA_LIMIT", "-1", -EINVAL },
		{ "GCARENA_LIMIT", "MiB", -EINVAL },
		{ "GCARENA_LIMIT", "99999999999GiB", -EINVAL },
		{ "GCARENA_LIMIT", "101%", -EINVAL },
		{ "GCARENA_LIMIT", "1.5GiB", -EINVAL },
		{ "GCARENA_LIMIT", "", -EINVAL },
		{ "GCARENA_HEAP_MAX", "64MiB", 0 },
		{ "GCARENA_HEAP_MAX", "off", 0 },
		{ "GCARENA_HEAP_MAX", "80%", -EINVAL },
		{ "GCARENA_HEAP_MAX", "0", -EINVAL },
		{ "GCARENA_SHARE", "50", 0 },
		{ "GCARENA_SHARE", "0", -EINVAL },
		{ "GCARENA_SHARE", "25%", -EINVAL },
		{ "GCARENA_WORKERS", "64", 0 },
		{ "GCARENA_WORKERS", "65", -EINVAL },
		{ "GCARENA_WORKERS", " 2", -EINVAL },
		{ "GCARENA_GENERATIONS", "on", 0 },
		{ "GCARENA_GENERATIONS", "maybe", -EINVAL },
		{ "GCARENA_SIGNAL", "off", 0 },
		{ "GCARENA_SIGNAL", "9", -EINVAL },
		{ "GCARENA_SIGNAL", "", -EINVAL },
		{ "GCARENA_DEBUG", "verify=1", 0 },
		{ "GCARENA_DEBUG", "verify=1,shadow=0,gctrace=0,poison=1", 0 },
		{ "GCARENA_DEBUG", "gctrace=0,scavtrace=0", 0 },
		{ "GCARENA_DEBUG", "scavtrace=yes", -EINVAL },
		{ "GCARENA_DEBUG", "verify=2", -EINVAL },
		{ "GCARENA_DEBUG", "verify", -EINVAL },
		{ "GCARENA_DEBUG", "checks=1", -EINVAL },
		{ "GCARENA_DEBUG", "verify=1,,shadow=1", -EINVAL },
	};

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		reset();
		setenv(cases[i].variable, cases[i].value, 1);
		eq(try_open(NULL), cases[i].err, "%s=%s", cases[i].variable, cases[i].value);
		if (cases[i].err)
			ok(strstr(gca_error(), cases[i].variable), "the error names it: %s",
			   gca_error());
	}
	reset();
}

static void test_overrides(void)
{
	struct gca_config config;
	struct gca_heap *heap;

	gca_config_init(&config);
	config.percent = 30;
	config.limit = 128 * MIB;
	setenv("GCARENA_PERCENT", "70", 1);
	setenv("GCARENA_LIMIT", "96MiB", 1);
	heap = open_with(&config);
	eq(gca_set_percent(heap, 100), 70, "GCARENA_PERCENT overrides the field");
	eq(gca_set_limit(heap, 0), 96 * MIB, "GCARENA_LIMIT too");
	gca_close(heap);
	setenv("GCARENA_PERCENT", "off", 1);
	setenv("GCARENA_LIMIT", "off", 1);
	heap = open_with(&config);
	eq(gca_set_percent(heap, 100), GCA_PERCENT_OFF, "GCARENA_PERCENT=off");
	eq(gca_set_limit(heap, 0), 0, "GCARENA_LIMIT=off");
	gca_close(heap);
	reset();
	if (!test_on_device()) {
		config.backend = GCA_BACKEND_DEVICE;
		config.device = "/nonexistent";
		setenv("GCARENA_BACKEND", "process", 1);
		heap = open_with(&config);
		eq(gca_backend(heap), GCA_BACKEND_PROCESS, "GCARENA_BACKEND overrides the field");
		gca_close(heap);
	} else {
		skip(1, "the device is what is tested");
	}
	reset();
}

static void test_backends(void)
{
	struct gca_config config;
	int err;

	unsetenv("GCARENA_BACKEND");
	gca_config_init(&config);
	config.backend = GCA_BACKEND_DEVICE;
	config.device = "/nonexistent/gcarena";
	eq(try_open(&config), -ENODEV, "a forced device that is not there is -ENODEV");
	ok(strstr(gca_error(), "/nonexistent/gcarena"), "and says which: %s", gca_error());
	config.device = "/dev/null";
	err = try_open(&config);
	ok(err == -ENODEV || err == -EINVAL, "one that is no gcarena: %s", strerror(-err));
	ok(strstr(gca_error(), "/dev/null"), "and says which: %s", gca_error());
	config.backend = GCA_BACKEND_AUTO;
	config.device = "/nonexistent/gcarena";
	eq(try_open(&config), 0, "without force the process backend serves");
	config.device = "/dev/null";
	eq(try_open(&config), 0, "also when the device is something else");
	config.backend = GCA_BACKEND_PROCESS;
	eq(try_open(&config), 0, "the process backend can be forced");
	reset();
}

/* In a child, because a limit cannot be raised again. */
static int child_status(void (*fn)(void))
{
	int status = -1;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		fn();
		_exit(99);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail("fork");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void limit_address_space(size_t bytes)
{
	struct rlimit limit = { bytes, bytes };

	if (setrlimit(RLIMIT_AS, &limit))
		_exit(98);
}

static void open_in_4g(void)
{
	struct gca_heap *heap = NULL;
	struct gca_mutator *m = NULL;
	size_t count = 0;

	limit_address_space(4096 * MIB);
	if (gca_open(NULL, &heap))
		_exit(1);
	if (gca_attach(heap, GCA_STACK_PRECISE, &m))
		_exit(2);
	while (count < 1000 && gca_new_bytes(m, 20000))
		count++;
	_exit(count == 1000 ? 0 : 3);
}

static void open_too_large(void)
{
	struct gca_heap *heap = NULL;
	struct gca_config config;

	limit_address_space(1024 * MIB);
	gca_config_init(&config);
	config.heap_size = 8192 * MIB;
	if (gca_open(&config, &heap) != -ENOMEM)
		_exit(1);
	_exit(strlen(gca_error()) > 10 ? 0 : 2);
}

static void test_address_space(void)
{
	if (TEST_ASAN) {
		skip(2, "ASan itself needs the address space");
		return;
	}
	eq(child_status(open_in_4g), 0, "the default heap fits into RLIMIT_AS of 4 GiB");
	eq(child_status(open_too_large), 0, "a size that does not fit is -ENOMEM, with a sentence");
}

int main(void)
{
	backend_name = getenv("GCARENA_BACKEND");
	if (backend_name)
		backend_name = strdup(backend_name);
	reset();
	test_defaults();
	test_fields();
	test_environment();
	test_overrides();
	test_backends();
	test_address_space();
	return tap_done();
}
