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
#include "dtls/record.h"
#include "sim/objects.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <strings.h>
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
	{OPTION("server", SETTING_STRING, server), .letter = 's', .placeholder = "URI",
	 .help = "The server to register at: coap://HOST:PORT, or coaps://HOST:PORT for DTLS; without it "
		 "coap://127.0.0.1:5683, or with --coaps coaps://127.0.0.1:5684."},
	{OPTION("coaps", SETTING_BOOL, coaps), .fallback = "no",
	 .help = "Speak CoAP over DTLS 1.2; a server of coaps:// says the same."},
	{OPTION("psk", SETTING_STRING, psk), .placeholder = "IDENTITY:HEXKEY",
	 .help = "Pre-shared keys. {ep} in IDENTITY stands for the endpoint name; then HEXKEY is a master "
		 "key, and that of each device is the first 16 bytes of HMAC-SHA256(HEXKEY, identity). "
		 "Without {ep} all devices have this identity and key."},
	{OPTION("psk-file", SETTING_STRING, psk_file), .placeholder = "FILE",
	 .help = "Pre-shared keys of a CSV file as shoalctl security import takes it; its rows also name the "
		 "devices."},
	{OPTION("raw-keys", SETTING_STRING, raw_keys), .placeholder = "HEXKEY",
	 .help = "Raw public keys: each device has its own P-256 key, which follows from this master key and "
		 "its endpoint name."},
	{OPTION("key", SETTING_STRING, key), .placeholder = "FILE",
	 .help = "Private key (PEM): the raw public key of all devices, or what belongs to --certificate. "
		 "With {ep} in FILE each device has its own."},
	{OPTION("certificate", SETTING_STRING, certificate), .placeholder = "FILE",
	 .help = "X.509: the certificate (PEM, with its chain). With {ep} in FILE each device has its own."},
	{OPTION("trust", SETTING_STRING, trust), .placeholder = "FILE",
	 .help = "Certificates (PEM) that the server's has to be issued by; without it the devices take "
		 "any."},
	{OPTION("cid", SETTING_STRING, cid), .fallback = "0", .placeholder = "N",
	 .help = "Length of the device's own connection id, 0 to 8; 0 offers to use the server's alone, off "
		 "offers nothing (RFC 9146)."},
	{OPTION("resume", SETTING_BOOL, resume), .fallback = "no",
	 .help = "Begin handshakes after the first by resuming the last session."},
	{OPTION("close-notify", SETTING_BOOL, close_notify), .fallback = "no",
	 .help = "Tell the server when a session ends, by close_notify; else it is only forgotten."},
	{OPTION("write-credentials", SETTING_STRING, write_credentials), .placeholder = "FILE",
	 .help = "Write what the server has to know of the devices to FILE, for shoalctl security import, "
		 "and "
		 "end. -: standard output."},
	{OPTION("rebind", SETTING_DURATION, rebind_ms), .max = 30 * (uint64_t)DAY_MS, .fallback = "0s",
	 .placeholder = "TIME",
	 .help = "Each device changes its source port at this interval, as behind a NAT; 0: never."},
	{OPTION("ack-timeout", SETTING_DURATION, ack_timeout_ms), .min = 10, .max = 5 * (uint64_t)MINUTE_MS,
	 .fallback = "2s", .placeholder = "TIME",
	 .help = "ACK_TIMEOUT of CoAP: four retransmissions later, 16 to 46 times that, a message has "
		 "failed."},
	{OPTION("count", SETTING_UINT, count), .letter = 'n', .min = 1, .max = DEVICES_MAX, .fallback = "10",
	 .placeholder = "N",
	 .help = "How many devices. Each has its own UDP port and so its own open file, except at an IPv4 "
		 "loopback server if there are more than files: then they share some, each with an address "
		 "of its own."},
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

/* A host name: "host", "host:port", behind an optional scheme. Splits a copy of it in place. */
static int resolve(const char *text, const char *default_port, struct address *out)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM};
	const char *after = strstr(text, "://");
	_cleanup_free_ char *host = strdup(after ? after + 3 : text);
	struct addrinfo *found = NULL;
	char *port;

	if (!host)
		return -ENOMEM;
	host[strcspn(host, "/")] = '\0';
	port = strrchr(host, ':');
	if (port)
		*port++ = '\0';
	if (getaddrinfo(host, port ? port : default_port, &hints, &found) != 0)
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

static bool has_scheme(const char *text, const char *scheme)
{
	size_t len = strlen(scheme);

	return strncasecmp(text, scheme, len) == 0 && strncmp(text + len, "://", 3) == 0;
}

static int parse_server(struct sim_options *o)
{
	_cleanup_free_ char *full = NULL;
	struct coap_uri uri;

	if (!strstr(o->server, "://")) {
		if (asprintf(&full, "%s://%s", o->coaps ? "coaps" : "coap", o->server) < 0)
			return -ENOMEM;
	} else if (!has_scheme(o->server, o->coaps ? "coaps" : "coap"))
		return -EINVAL;
	if (coap_uri_parse(full ? full : o->server, &uri) < 0)
		return resolve(o->server, o->coaps ? "5684" : "5683", &o->address);
	o->address = uri.address;
	return 0;
}

static int check_server(struct sim_options *o, FILE *error)
{
	int rc;

	if (!o->server)
		o->server = strdup(o->coaps ? "coaps://127.0.0.1" : "coap://127.0.0.1");
	if (!o->server)
		return -ENOMEM;
	if (has_scheme(o->server, "coaps"))
		o->coaps = true;
	rc = parse_server(o);
	if (rc == -EINVAL)
		fprintf(error,
			"shoal-sim: --server %s: expected a URI such as %s, whose "
			"host name must be known\n",
			o->server, o->coaps ? "coaps://127.0.0.1:5684" : "coap://127.0.0.1:5683");
	return rc;
}

/* ---- DTLS ---- */

static int refuse(FILE *error, const char *text)
{
	fprintf(error, "shoal-sim: %s\n", text);
	return -EINVAL;
}

static int check_cid(struct sim_options *o, FILE *error)
{
	uint64_t len;

	o->own_cid_len = -1;
	if (strcmp(o->cid, "off") == 0)
		return 0;
	if (!span_to_uint(span_str(o->cid), DTLS_CID_OWN, &len))
		return refuse(error, "--cid: expected a length from 0 to 8, or off");
	o->own_cid_len = (int)len;
	return 0;
}

/* One kind of credential, with DTLS and not without. */
static int check_credentials(struct sim_options *o, FILE *error)
{
	int kinds = (o->psk != NULL) + (o->psk_file != NULL) + (o->raw_keys != NULL) + (o->key != NULL);

	if (o->write_credentials && !o->coaps && kinds)
		o->coaps = true; /* no server is asked */
	if (!o->coaps && (kinds || o->certificate || o->trust))
		return refuse(error, "keys and certificates are for DTLS: --coaps, or a server of coaps://");
	if (!o->coaps)
		return o->write_credentials ? refuse(error, "--write-credentials: there are none") : 0;
	if (kinds > 1)
		return refuse(error, "only one of --psk, --psk-file, --raw-keys and --key is possible");
	if (kinds == 0)
		return refuse(error, "DTLS needs one of --psk, --psk-file, --raw-keys and --key");
	if (o->certificate && !o->key)
		return refuse(error, "--certificate needs --key");
	return check_cid(o, error);
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
	rc = check_server(o, error);
	return rc < 0 ? rc : check_credentials(o, error);
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
