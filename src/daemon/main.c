/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* shoald: reads its settings and runs a node. */

#include "daemon/node.h"

enum { EXIT_SETTINGS = 2 };

int main(int argc, char **argv)
{
	struct daemon_settings settings = {0};
	int err = daemon_settings_load(&settings, argc - 1, argv + 1);
	int status = err < 0 ? EXIT_SETTINGS : 0;

	if (err == 0)
		status = node_run(&settings);
	settings_deinit(&daemon_schema, &settings);
	return status;
}
