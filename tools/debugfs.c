// SPDX-License-Identifier: MIT
/*
 * The module's debugfs as root sees it: Documentation/debugfs.rst.
 *
 * Files are read whole, at once, into memory: what is printed of them was there at one
 * time.  An arena may die at any moment; then its files say -ENOENT, -ENODEV or -EIO, which
 * is an answer and no mystery.
 */
#include "tool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define READ_SIZE	(64u << 10)

const char *debugfs_root = "/sys/kernel/debug/gcarena";

static int read_all(int fd, struct text *text)
{
	char *buffer = tool_alloc(READ_SIZE);
	ssize_t got;
	int error;

	do {
		got = read(fd, buffer, READ_SIZE);
		if (got > 0)
			text_append(text, buffer, (size_t)got);
	} while (got > 0 || (got < 0 && errno == EINTR));
	error = got < 0 ? -errno : 0;
	free(buffer);
	return error;
}

static void path_of(char **path, uint32_t id, const char *name)
{
	int made;

	if (id)
		made = asprintf(path, "%s/%u/%s", debugfs_root, id, name);
	else
		made = asprintf(path, "%s/%s", debugfs_root, name);
	if (made < 0)
		exit(tool_fail("out of memory"));
}

/**
 * debugfs_read - read a file of the module's
 * @id: the arena, or 0 for none
 * @name: the file
 * @text: its contents are added
 *
 * Return: 0 or a negative errno.
 */
int debugfs_read(uint32_t id, const char *name, struct text *text)
{
	char *path;
	int fd, error;

	path_of(&path, id, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = fd < 0 ? -errno : 0;
	free(path);
	if (error)
		return error;
	text_append(text, "", 0);
	error = read_all(fd, text);
	close(fd);
	return error;
}

/**
 * debugfs_read_or_fail - the same, and say what is wrong
 * @id: the arena, or 0 for none
 * @name: the file
 * @text: its contents are added
 *
 * Return: TOOL_OK or TOOL_FAILED.
 */
int debugfs_read_or_fail(uint32_t id, const char *name, struct text *text)
{
	int error = debugfs_read(id, name, text);

	switch (error) {
	case 0:
		return TOOL_OK;
	case -ENOENT:
		if (access(debugfs_root, F_OK))
			return tool_fail("no %s: is the module loaded, and debugfs mounted?",
					 debugfs_root);
		return tool_fail("there is no arena %u; gcarena top lists them", id);
	case -EACCES:
	case -EPERM:
		return tool_fail("%s is root's: permission denied", debugfs_root);
	default:
		return tool_fail("arena %u, %s: %s", id, name, strerror(-error));
	}
}

static int by_number(const void *a, const void *b)
{
	uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

	return one < other ? -1 : one > other;
}

/**
 * debugfs_arenas - which arenas there are
 * @ids: their numbers, ascending; to be freed
 *
 * Return: how many, or a negative errno.
 */
int debugfs_arenas(uint32_t **ids)
{
	DIR *dir = opendir(debugfs_root);
	struct dirent *entry;
	size_t nr = 0;
	uint64_t id;

	*ids = NULL;
	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (!tool_number(entry->d_name, UINT32_MAX, &id) || !id)
			continue;
		*ids = tool_realloc(*ids, (nr + 1) * sizeof(**ids));
		(*ids)[nr++] = (uint32_t)id;
	}
	closedir(dir);
	if (nr)
		qsort(*ids, nr, sizeof(**ids), by_number);
	return (int)nr;
}
