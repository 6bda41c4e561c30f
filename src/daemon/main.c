/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* shoald: reads its settings and runs a node, or several of them under a supervisor. */

#include "daemon/node.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

enum { EXIT_SETTINGS = SUPERVISOR_HOPELESS };

/* Adds the addresses of a list. */
static int add_ports(const char *section, const char *list, struct address *ports, size_t *count)
{
	struct span item;

	while (settings_list_next(&list, &item)) {
		_cleanup_free_ char *text = span_dup(item);

		if (span_is(item, "none"))
			continue;
		if (!text || *count == SUPERVISOR_PORTS_MAX || address_parse(text, &ports[*count]) < 0) {
			fprintf(stderr,
				"shoald: [%s] listen: '%s' is not usable: all together may be up to %d "
				"numeric "
				"addresses such as [::]:5683 or 192.0.2.1:5683\n",
				section, text ? text : "", SUPERVISOR_PORTS_MAX);
			return -EINVAL;
		}
		(*count)++;
	}
	return 0;
}

/* In a process of its own. */
static int run_node(void *ctx, const struct shared *shared)
{
	struct daemon_settings settings = *(const struct daemon_settings *)ctx;

	settings.node_id += shared->index;
	return node_run(&settings, shared);
}

static int run_nodes(struct daemon_settings *settings)
{
	struct address ports[SUPERVISOR_PORTS_MAX];
	struct supervisor_config config;
	struct log log;

	supervisor_config_init(&config);
	if (strncmp(settings->store_url, "redis", strlen("redis")) != 0) {
		fprintf(stderr,
			"shoald: --nodes: the store '%.*s' is for one node; set [store] url to "
			"redis://HOST\n",
			(int)strcspn(settings->store_url, ":"), settings->store_url);
		return EXIT_SETTINGS;
	}
	if (add_ports("coap", settings->coap_listen, ports, &config.port_count) < 0 ||
	    add_ports("dtls", settings->dtls_listen, ports, &config.port_count) < 0)
		return EXIT_SETTINGS;
	log_init(&log, STDERR_FILENO, settings->log_level);
	log.timestamps = settings->log_timestamps;
	config.nodes = (unsigned)settings->nodes;
	config.ports = ports;
	config.log = &log;
	config.run = run_node;
	config.ctx = settings;
	return supervisor_run(&config);
}

int main(int argc, char **argv)
{
	struct daemon_settings settings = {0};
	int err = daemon_settings_load(&settings, argc - 1, argv + 1);
	int status = err < 0 ? EXIT_SETTINGS : 0;

	if (err == 0)
		status = settings.nodes > 1 ? run_nodes(&settings) : node_run(&settings, NULL);
	settings_deinit(&daemon_schema, &settings);
	return status;
}
