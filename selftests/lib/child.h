/* SPDX-License-Identifier: MIT */
/*
 * For tests of what ends a program: run it in a child, and read its last words.
 */
#ifndef GCARENA_SELFTESTS_CHILD_H
#define GCARENA_SELFTESTS_CHILD_H

#include "lib.h"

#include <sys/wait.h>

/* Runs @fn in a child: its wait status, and in @output what it wrote to stderr. */
static int child_output(void (*fn)(void), char *output, size_t room)
{
	int fds[2], status = 0;
	size_t length = 0;
	ssize_t got;
	pid_t pid;

	fflush(stdout);
	if (pipe(fds))
		bail("pipe");
	pid = fork();
	if (!pid) {
		dup2(fds[1], STDERR_FILENO);
		close(fds[0]);
		close(fds[1]);
		fn();
		_exit(0);
	}
	close(fds[1]);
	while (length < room - 1 && (got = read(fds[0], output + length, room - 1 - length)) > 0)
		length += (size_t)got;
	output[length] = '\0';
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		bail("fork");
	return status;
}

#endif /* GCARENA_SELFTESTS_CHILD_H */
