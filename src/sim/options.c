/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The command line. One table gives parser, defaults and --help; what a table cannot say (the server's
 * address, which options exclude each other) is checked behind it.
 *
 * Leaves out a configuration file: a simulation is one command.
 */

#include "sim/options.h"

#include "base/settings.h"
#include "coap/uri.h"
#include "sim/objects.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

static const char *const version_choices[] = {"1.0", "1.1", NULL};

enum {
	MINUTE_MS = 60 * 1000,
	DAY_MS = 24 * 60 * MINUTE_MS,
	DEVICES_MAX = 1000000,
};

#define OPTION(name_, type_, member) \
	.name = name_, .type = type_, .offset = offsetof(struct sim_options, member)

static const struct setting settings[] = {
	{OPTION("server", SETTING_STRING, server), .letter = 's', .fallback = "coap://127.0.0.1:5683",
	 .placeholder = "URI", .help = "The server to register at."},
	{OPTION("count", SETTING_UINT, count), .letter = 'n', .min = 1, .max = DEVICES_MAX, .fallback = "10",
	 .placeholder = "N",
	 .help = "How many devices, each with its own UDP port and so its own open file."},
	{OPTION("instances", SETTING_UINT, instances), .max = TEMPERATURES_MAX, .fallback = "1",
	 .placeholder = "N",
	 .help = "Instances of object 3303 per device; from about 60 on Register and answers go in blocks."},
	{OPTION("rate", SETTING_UINT, rate), .letter = 'r', .max = DEVICES_MAX, .fallback = "100",
	 .placeholder = "N", .help = "Devices that start in a second; 0: all at once."},
	{OPTION("lifetime", SETTING_DURATION, lifetime_ms), .letter = 'l', .min = 1000,
	 .max = (uint64_t)365 * DAY_MS, .fallback = "300s", .placeholder = "TIME",
	 .help = "Lifetime of the registrations."},
	{OPTION("update-interval", SETTING_DURATION, update_ms), .letter = 'u', .max = 30 * (uint64_t)DAY_MS,
	 .fallback = "0s", .placeholder = "TIME",
	 .help = "Time between Updates; 0: only in time before the lifetime ends."},
	{OPTION("notify-interval", SETTING_DURATION, notify_ms), .letter = 'i', .max = DAY_MS,
	 .fallback = "60s", .placeholder = "TIME",
	 .help = "Pace at which each observed resource is measured and notified; the attributes which the "
		 "server wrote hold back or force notifications as they say. 0: only when a value was "
		 "written, "
		 "or pmax is over."},
	{OPTION("send-interval", SETTING_DURATION, send_ms), .max = DAY_MS, .fallback = "0s",
	 .placeholder = "TIME",
	 .help = "Time between Sends of 3303/0/5700, which nobody has to observe; what could not be sent is "
		 "sent with the next, each value with its time. The server stops it by 1/0/23. 0: none."},
	{OPTION("con", SETTING_BOOL, confirmable), .letter = 'c', .fallback = "no",
	 .help = "Send confirmable notifications."},
	{OPTION("lwm2m", SETTING_CHOICE, version), .choices = version_choices, .fallback = "1.1",
	 .placeholder = "VERSION", .help = "Version that the devices announce."},
	{OPTION("queue-mode", SETTING_BOOL, queue_mode), .letter = 'q', .fallback = "no",
	 .help = "The devices sleep: they hear nothing from --awake after their last message until their "
		 "next."},
	{OPTION("awake", SETTING_DURATION, awake_ms), .min = 1, .max = DAY_MS, .fallback = "93s",
	 .placeholder = "TIME", .help = "How long a device of --queue-mode stays awake."},
	{OPTION("retry", SETTING_DURATION, retry_ms), .min = 100, .max = DAY_MS, .fallback = "5s",
	 .placeholder = "TIME",
	 .help = "Pause before a failed registration is tried again; doubles each time, up to 64 times "
		 "that."},
	{OPTION("loss", SETTING_UINT, loss_percent), .max = 100, .fallback = "0", .placeholder = "PERCENT",
	 .help = "Datagrams that are lost, in both directions."},
	{OPTION("seed", SETTING_UINT, seed), .fallback = "0", .placeholder = "N",
	 .help = "Makes losses, tokens, message ids and values repeatable; 0: different each time."},
	{OPTION("prefix", SETTING_STRING, prefix), .letter = 'p', .fallback = "sim", .placeholder = "TEXT",
	 .help = "Endpoint names are TEXT-000001 and so on."},
	{OPTION("duration", SETTING_DURATION, duration_ms), .letter = 'd', .max = 365 * (uint64_t)DAY_MS,
	 .fallback = "0s", .placeholder = "TIME", .help = "End after this time; 0: at Ctrl-C."},
	{OPTION("ledger", SETTING_STRING, ledger), .placeholder = "FILE",
	 .help = "Write what the server acknowledged to FILE (which is emptied first), one line each, before "
		 "anything further is sent; temperatures are then numbers that count up."},
	{OPTION("deregister", SETTING_BOOL, deregister), .fallback = "yes",
	 .help = "De-register all devices at the end."},
	{OPTION("stay", SETTING_BOOL, stay), .fallback = "no",
	 .help = "Keep them registered at the end: the same as --no-deregister."},
	{OPTION("json", SETTING_BOOL, json), .letter = 'j', .fallback = "no",
	 .help = "Print the summary as JSON."},
	{OPTION("help", SETTING_BOOL, help), .letter = 'h', .fallback = "no", .help = "Print this."},
	{OPTION("version", SETTING_BOOL, show_version), .fallback = "no", .help = "Print the version."},
};

static const struct settings_schema schema = {
	.program = "shoal-sim",
	.prefix = "SHOAL_SIM",
	.usage =
		"Usage: shoal-sim [OPTION]...\n"
		"\n"
		"Simulates a fleet of LwM2M devices: each registers, updates, answers the server's requests\n"
		"on objects 1 (Server), 3 (Device) and 3303 (Temperature), and notifies what is observed.\n"
		"The exit code is 0 if every device was registered, and was de-registered where asked for.\n",
	.settings = settings,
	.count = ARRAY_SIZE(settings),
};

/* A host name: "host", "host:port", behind an optional "coap://". Splits a copy of it in place. */
static int resolve(const char *text, struct address *out)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
	_cleanup_free_ char *host = strdup(strncmp(text, "coap://", 7) == 0 ? text + 7 : text);
	struct addrinfo *found = NULL;
	char *port;

	if (!host)
		return -ENOMEM;
	host[strcspn(host, "/")] = '\0';
	port = strrchr(host, ':');
	if (port)
		*port++ = '\0';
	if (getaddrinfo(host, port ? port : "5683", &hints, &found) != 0)
		return -EINVAL;
	*out = (struct address){.family = 4};
	if (found->ai_family == AF_INET6) {
		struct sockaddr_in6 name;

		memcpy(&name, found->ai_addr, sizeof(name));
		address_set_ip6(out, name.sin6_addr.s6_addr, name.sin6_scope_id);
		out->port = ntohs(name.sin6_port);
	} else {
		struct sockaddr_in name;

		memcpy(&name, found->ai_addr, sizeof(name));
		memcpy(out->ip, &name.sin_addr, sizeof(name.sin_addr));
		out->port = ntohs(name.sin_port);
	}
	freeaddrinfo(found);
	return 0;
}

static int check_server(struct sim_options *o, FILE *error)
{
	struct coap_uri uri;
	int rc;

	if (strncmp(o->server, "coaps:", 6) == 0) {
		fprintf(error, "shoal-sim: --server %s: simulated devices speak plain coap, not coaps\n",
			o->server);
		return -EINVAL;
	}
	if (coap_uri_parse(o->server, &uri) == 0) {
		o->address = uri.address;
		return 0;
	}
	rc = resolve(o->server, &o->address);
	if (rc == -EINVAL)
		fprintf(error,
			"shoal-sim: --server %s: expected a URI such as coap://127.0.0.1:5683, whose "
			"host name must be known\n",
			o->server);
	return rc;
}

/* Endpoint names travel in a Uri-Query option of at most 255 bytes. */
static int check_prefix(const struct sim_options *o, FILE *error)
{
	enum { PREFIX_MAX = 200 };

	if (*o->prefix && strlen(o->prefix) <= PREFIX_MAX)
		return 0;
	fprintf(error, "shoal-sim: --prefix: expected 1 to %d characters\n", PREFIX_MAX);
	return -EINVAL;
}

int sim_options_parse(struct sim_options *o, int argc, char **argv, FILE *out, FILE *error)
{
	int rc;

	*o = (struct sim_options){0};
	rc = settings_init(&schema, o);
	if (rc < 0)
		return rc;
	rc = settings_load_arguments(&schema, o, argc, argv, error);
	if (rc < 0)
		return rc;
	if (o->help) {
		settings_print_help(&schema, out);
		return OPTIONS_SHOWN;
	}
	if (o->show_version) {
		fprintf(out, "shoal-sim %s\n", SHOAL_VERSION);
		return OPTIONS_SHOWN;
	}
	rc = check_prefix(o, error);
	if (rc < 0)
		return rc;
	if (o->send_ms && sim_options_lwm2m(o).minor == 0) {
		fputs("shoal-sim: --send-interval: LwM2M 1.0 has no Send\n", error);
		return -EINVAL;
	}
	return check_server(o, error);
}

void sim_options_deinit(struct sim_options *o)
{
	settings_deinit(&schema, o);
}

struct object_version sim_options_lwm2m(const struct sim_options *o)
{
	struct object_version version = {1, 1};
	bool ok = object_version_parse(span_str(version_choices[o->version]), &version);

	assert(ok);
	(void)ok;
	return version;
}
