/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Replays scripts (README.md): one line of TAP per file. What failed is told as file:line, what was expected
 * and what came.
 */

#include <stdio.h>

#include "script.h"

static const char *short_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void print_report(char *report)
{
	for (char *line = strtok(report, "\n"); line; line = strtok(NULL, "\n"))
		printf("# %s\n", line);
}

int main(int argc, char **argv)
{
	int failed = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s SCRIPT...\n", argv[0]);
		return 2;
	}
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		char *report;
		bool passed = script_run(argv[i], &report);

		printf("%sok %d - %s\n", passed ? "" : "not ", i, short_name(argv[i]));
		if (!passed)
			print_report(report);
		failed += !passed;
		free(report);
		fflush(stdout);
	}
	return failed > 0;
}
