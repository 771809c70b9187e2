// SPDX-License-Identifier: MIT
/*
 * The model's test with its chances taken from an input: for libFuzzer, which looks
 * for inputs that reach more of the core, and by itself over those it has found.
 *
 *	fuzz [FILE...]
 *	clang -fsanitize=fuzzer,address -DMODEL_LIBFUZZER ... (make fuzz-core)
 *
 * Without files it plays the corpus, data/fuzz.  The model judges, its
 * validator and the assertions; a finding ends the process, as libFuzzer wants it.
 */
#define MODEL_FUZZ
#include "model.c"

#include <dirent.h>
#include <limits.h>

/* Steps of one input: enough to fill six chunks, few enough for a fast search. */
#define FUZZ_OPERATIONS	400u

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	if (size < 2)
		return 0;
	/* The first byte says where the generation starts. */
	input = data + 1;
	input_left = size - 1;
	if (run(data[0] & 1, FUZZ_OPERATIONS))
		abort();
	input = NULL;
	input_left = 0;
	return 0;
}

#ifndef MODEL_LIBFUZZER

static bool play(const char *path)
{
	static unsigned char data[1 << 16];
	FILE *f = fopen(path, "rb");
	size_t size;

	if (!f)
		return false;
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	return !LLVMFuzzerTestOneInput(data, size);
}

int main(int argc, char **argv)
{
	const char *corpus = "selftests/core/data/fuzz";
	unsigned int played = 0;
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir;
	int i;

	for (i = 1; i < argc; i++)
		ok(play(argv[i]), "%s", argv[i]);
	if (argc > 1)
		return tap_done();
	dir = opendir(corpus);
	if (!dir)
		bail("%s: run from the top of the tree", corpus);
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", corpus, entry->d_name);
		played += play(path);
	}
	closedir(dir);
	ok(played >= 10, "%u inputs of the corpus: the core does what the model says", played);
	return tap_done();
}

#endif /* MODEL_LIBFUZZER */
