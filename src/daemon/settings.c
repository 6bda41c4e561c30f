/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The table of all settings of shoald: parser, --help and docs/settings.md follow from it.
 */

#include <errno.h>
#include <stdio.h>

#include "daemon/settings.h"
#include "http/http.h"

#include "dtls/handshake.h"
#include "store/store.h"

static const char *const durabilities[] = {[STORE_DURABILITY_DEFAULT] = "auto",
					   [STORE_DISK] = "disk",
					   [STORE_LOCAL] = "local",
					   [STORE_REPLICA] = "replica",
					   NULL};
static const char *const log_levels[] = {
	[LOG_ERROR] = "error", [LOG_WARN] = "warn", [LOG_INFO] = "info", [LOG_DEBUG] = "debug", NULL};

static const char *const redis_events[] = {
	[REDIS_EVENTS_AUTO] = "auto", [REDIS_EVENTS_COMPACT] = "compact", [REDIS_EVENTS_JSON] = "json", NULL};

static const char *const require_token[] = {
	[HTTP_TOKEN_AUTO] = "auto", [HTTP_TOKEN_YES] = "yes", [HTTP_TOKEN_NO] = "no", NULL};

#define AT(member) offsetof(struct daemon_settings, member)
#define SECONDS *1000ULL
#define DAYS *24 * 3600 * 1000ULL

static const struct setting settings[] = {
	{NULL, "config", 'c', SETTING_STRING, AT(config), .placeholder = "FILE",
	 .help = "Read settings from this INI file. Environment and command line win over it."},
	{NULL, "help", 'h', SETTING_BOOL, AT(help), .help = "Print this help."},
	{NULL, "version", 'V', SETTING_BOOL, AT(version), .help = "Print the version."},
	{NULL, "print-settings", 0, SETTING_BOOL, AT(print_settings),
	 .help = "Print the reference page of all settings, in Markdown."},

	{NULL, "new-admin-token", 0, SETTING_BOOL, AT(new_admin_token),
	 .help = "Make one more token with the role admin and write it to the file admin-token in the "
		 "store's "
		 "directory, for when all others are lost."},

	{NULL, "nodes", 'n', SETTING_UINT, AT(nodes), 1, 64, NULL, "1", "NUMBER",
	 "Run so many nodes on this machine, which share the ports for devices and for HTTP. Their numbers "
	 "begin "
	 "at the node's id. Needs a store that nodes can share (Redis or Valkey), and a cluster-key-file."},

	{"node", "id", 0, SETTING_UINT, AT(node_id), 1, 65535, NULL, "1", "NUMBER",
	 "Number of this node. It names the owner of a device in the store."},

	{"node", "cluster-key-file", 0, SETTING_STRING, AT(cluster_key_file), .placeholder = "FILE",
	 .help = "The key that seals what the store holds of session keys and pre-shared keys: 32 bytes, or "
		 "64 "
		 "hexadecimal digits. All nodes of a cluster have the same one. Without this setting it is "
		 "made at "
		 "the first start, as cluster.key in the directory of the embedded store."},

	{"node", "old-cluster-key-files", 0, SETTING_LIST, AT(old_cluster_key_files),
	 .placeholder = "FILE,...",
	 .help = "Keys that still open what was sealed with them, up to three: those before the present one, "
		 "or the "
		 "next one, while it is changed node by node."},

	{"coap", "listen", 0, SETTING_LIST, AT(coap_listen), .fallback = "[::]:5683",
	 .placeholder = "ADDRESS,...",
	 .help = "Addresses for plain CoAP over UDP (no security). The IPv6 wildcard serves IPv4 too. A "
		 "device is always "
		 "answered from the address it talked to, so list the addresses one by one on a host that "
		 "has several. Port 0 "
		 "takes any free port."},
	{"coap", "ack-timeout", 0, SETTING_DURATION, AT(ack_timeout_ms), 100, 600 SECONDS, NULL, "2s", "TIME",
	 "ACK_TIMEOUT of RFC 7252: how long to wait for an acknowledgement before the first retransmission. "
	 "Slow networks "
	 "(NB-IoT, LoRaWAN) want ten times the default."},
	{"coap", "ack-random-factor", 0, SETTING_UINT, AT(ack_random_percent), 100, 1000, NULL, "150",
	 "PERCENT", "ACK_RANDOM_FACTOR of RFC 7252, in percent."},
	{"coap", "max-retransmit", 0, SETTING_UINT, AT(max_retransmit), 0, 20, NULL, "4", "NUMBER",
	 "MAX_RETRANSMIT of RFC 7252: how often a confirmable message is sent again."},
	{"coap", "nstart", 0, SETTING_UINT, AT(nstart), 1, 16, NULL, "1", "NUMBER",
	 "NSTART of RFC 7252: how many exchanges with one device may be outstanding; more wait."},
	{"coap", "response-timeout", 0, SETTING_DURATION, AT(response_timeout_ms), 1 SECONDS, 3600 SECONDS,
	 NULL, "93s", "TIME", "How long to wait for a separate response after the empty acknowledgement."},
	{"coap", "max-waiting", 0, SETTING_UINT, AT(max_waiting), 1, 10000, NULL, "32", "NUMBER",
	 "How many exchanges may wait for one device; more are refused."},

	{"dtls", "listen", 0, SETTING_LIST, AT(dtls_listen), .fallback = "[::]:5684",
	 .placeholder = "ADDRESS,...",
	 .help = "Addresses for CoAP over DTLS 1.2. `none`: no DTLS. What devices authenticate with is set "
		 "by "
		 "PUT /api/security/clients."},
	{"dtls", "key", 0, SETTING_STRING, AT(dtls_key), .placeholder = "FILE",
	 .help = "The server's private key (PEM, P-256), for raw public keys and X.509. Without this setting "
		 "it is "
		 "made at the first start, as server-key.pem in the directory of the embedded store."},
	{"dtls", "certificate", 0, SETTING_STRING, AT(dtls_certificate), .placeholder = "FILE",
	 .help = "The server's certificate chain (PEM), the server's own first. It turns X.509 on, with "
		 "trust."},
	{"dtls", "trust", 0, SETTING_STRING, AT(dtls_trust), .placeholder = "FILE",
	 .help = "Certificates (PEM) that certificates of devices have to be issued by."},
	{"dtls", "x509-endpoint", 0, SETTING_STRING, AT(dtls_x509_endpoint), .fallback = "san,cn",
	 .placeholder = "RULES",
	 .help = "Which names of a device's certificate are its endpoint name, in order: cn, san, san-dns, "
		 "san-uri, "
		 "san-other, serial, each with :PATTERN if only a part of it is, as in "
		 "san-uri:urn:dev:imei:*."},
	{"dtls", "x509-any", 0, SETTING_BOOL, AT(dtls_x509_any), .fallback = "no",
	 .help = "Take every certificate that `trust` issued. Else its endpoint needs an entry with mode "
		 "x509."},
	{"dtls", "connection-ids", 0, SETTING_BOOL, AT(dtls_connection_ids), .fallback = "yes",
	 .help = "Give connection ids (RFC 9146) to clients that can use them: they keep their session when "
		 "their "
		 "address changes."},
	{"dtls", "session-age", 0, SETTING_DURATION, AT(dtls_age_ms), 0, 3650 DAYS, NULL, "30d", "TIME",
	 "After this a session ends, and its device makes a new handshake. 0s: never."},
	{"dtls", "session-idle", 0, SETTING_DURATION, AT(dtls_idle_ms), 0, 3650 DAYS, NULL, "7d", "TIME",
	 "A session in which nothing was received for so long ends. 0s: never."},
	{"dtls", "sessions-since", 0, SETTING_UINT, AT(dtls_since_s), 0, UINT32_MAX, NULL, "0", "SECONDS",
	 "Sessions made before this time (seconds since 1970, as `date +%s` prints it) do not go on. To be "
	 "set when a "
	 "backup of the store was restored: an older copy of a session could use record numbers twice."},
	{"dtls", "resumption", 0, SETTING_DURATION, AT(dtls_resumption_ms), 0, 365 DAYS, NULL, "24h", "TIME",
	 "For how long a session may be resumed by its id, with a short handshake. 0s: not at all. Sessions "
	 "by "
	 "PSK with a connection id are not: they last without it."},
	{"dtls", "mtu", 0, SETTING_UINT, AT(dtls_mtu), DTLS_MTU_MIN, DTLS_MTU_MAX, NULL, "1200", "BYTES",
	 "The largest datagram of a handshake."},
	{"dtls", "retransmit", 0, SETTING_DURATION, AT(dtls_retransmit_ms), 100, 60 SECONDS, NULL, "1s",
	 "TIME", "How long to wait before a flight of a handshake is sent again; doubled each time."},
	{"dtls", "hide-identities", 0, SETTING_BOOL, AT(dtls_hide_identities), .fallback = "no",
	 .help = "Let an unknown PSK identity fail as a wrong key does, instead of with alert 115."},
	{"dtls", "handshakes-max", 0, SETTING_UINT, AT(dtls_handshakes_max), 16, 1000000, NULL, "4096",
	 "NUMBER", "How many handshakes may run at a time (11 KB each). More are left to be tried again."},
	{"dtls", "hello-rate", 0, SETTING_UINT, AT(dtls_hellos_per_s), 0, 1000000, NULL, "2000", "NUMBER",
	 "New handshakes per second that one source network (/24, /56) may begin, and twice as many at once. "
	 "0: no "
	 "limit."},
	{"dtls", "hellos-max", 0, SETTING_UINT, AT(dtls_hellos_max_per_s), 0, 1000000, NULL, "20000",
	 "NUMBER",
	 "ClientHellos per second that are looked at, two for each handshake. A flood of more is left alone, "
	 "so that "
	 "devices with a session do not notice it. 0: no limit."},
	{"dtls", "key-log-file", 0, SETTING_STRING, AT(dtls_key_log_file), .placeholder = "FILE",
	 .help = "Append the secrets of all handshakes to this file, for a protocol analyser (NSS key log "
		 "format). "
		 "Whoever has it reads everything: for a laboratory."},
	{"dtls", "unbound-max", 0, SETTING_UINT, AT(dtls_unbound_max), 16, 10000000, NULL, "10000", "NUMBER",
	 "How many sessions may wait for their device to register. The oldest makes room."},

	{"lwm2m", "strict", 0, SETTING_BOOL, AT(strict), .fallback = "no",
	 .help = "Refuse what the specification forbids even where devices in the field do it: a missing "
		 "lwm2m or lt parameter, "
		 "an Update from another address, and the like. For testing devices."},
	{"lwm2m", "shared-credentials", 0, SETTING_BOOL, AT(shared_credentials), .fallback = "no",
	 .help = "Let a credential register any endpoint that has none of its own, for fleets that share a "
		 "key. "
		 "Whoever has that key can be any of its devices, and removing it ends the session of its "
		 "own "
		 "endpoint alone."},
	{"lwm2m", "default-lifetime", 0, SETTING_UINT, AT(default_lifetime_s), 1, UINT32_MAX, NULL, "86400",
	 "SECONDS", "Lifetime of a device that registers without one."},
	{"lwm2m", "lifetime-grace", 0, SETTING_DURATION, AT(lifetime_grace_ms), 0, 1 DAYS, NULL, "93s",
	 "TIME",
	 "How long after its lifetime a device is still kept. The default is MAX_TRANSMIT_WAIT of RFC 7252: "
	 "an Update that was "
	 "sent in time may still be on its way."},
	{"lwm2m", "awake-time", 0, SETTING_DURATION, AT(awake_ms), 0, 1 DAYS, NULL, "93s", "TIME",
	 "How long a queue mode device is taken to be awake after its last message."},
	{"lwm2m", "devices-max", 0, SETTING_UINT, AT(devices_max), 1, 20000000, NULL, "1000000", "NUMBER",
	 "How many devices may be known. A Register beyond it is not answered."},
	{"lwm2m", "requests-max", 0, SETTING_UINT, AT(requests_max), 1, 1000000, NULL, "20000", "NUMBER",
	 "How many requests to devices may be in work, all devices together. More are refused."},

	{"lwm2m", "observe-rate", 0, SETTING_UINT, AT(observe_rate), 1, 1000000, NULL, "1000", "NUMBER",
	 "How many Observes of the server's own leave in a second, to all devices together: after a "
	 "Register, and "
	 "when a policy changes."},

	{"queue", "enabled", 0, SETTING_BOOL, AT(queue_enabled), .fallback = "yes",
	 .help = "Queue requests to devices in queue mode that sleep, in the store. Otherwise they are sent "
		 "at "
		 "once, as to other devices, and time out."},
	{"queue", "ttl", 0, SETTING_DURATION, AT(queue_ttl_ms), 1 SECONDS, 3650 DAYS, NULL, "1d", "TIME",
	 "How long a request waits for its device if its caller does not say (?ttl=)."},
	{"queue", "ttl-max", 0, SETTING_DURATION, AT(queue_ttl_max_ms), 1 SECONDS, 3650 DAYS, NULL, "30d",
	 "TIME", "No request waits longer, whatever its caller says."},
	{"queue", "keep", 0, SETTING_DURATION, AT(queue_keep_ms), 0, 3650 DAYS, NULL, "1d", "TIME",
	 "How long what became of a request can be asked for. At most the last 16 of a device are kept."},
	{"queue", "requests-max", 0, SETTING_UINT, AT(queue_requests_max), 1, 1000, NULL, "32", "NUMBER",
	 "How many requests may wait for one device. More are refused."},
	{"queue", "bytes-max", 0, SETTING_SIZE, AT(queue_bytes_max), 1024, 512 * 1024, NULL, "256k", "SIZE",
	 "How many bytes the requests that wait for one device may have together. More are refused."},
	{"queue", "attempts-max", 0, SETTING_UINT, AT(queue_attempts_max), 1, 255, NULL, "10", "NUMBER",
	 "How often a request that may be repeated is sent, and not answered, before it has failed and no "
	 "longer "
	 "holds up those behind it."},
	{"queue", "rate", 0, SETTING_UINT, AT(queue_rate), 1, 1000000, NULL, "1000", "NUMBER",
	 "How many queued requests are sent in a second, to all devices together: a fleet that comes back at "
	 "once is served at this pace."},

	{"models", "directory", 0, SETTING_STRING, AT(models_directory), .placeholder = "DIRECTORY",
	 .help = "Object definitions to load at the start: all files *.xml (OMA DDF, as in the LwM2M "
		 "registry) in this directory. More can be put while the server runs (PUT /api/models)."},

	{"http", "listen", 0, SETTING_STRING, AT(http_listen), .fallback = "127.0.0.1:8080",
	 .placeholder = "ADDRESS", .help = "Address of the northbound interface (REST, events, metrics)."},
	{"http", "insecure-allow-remote", 0, SETTING_BOOL, AT(http_insecure_allow_remote), .fallback = "no",
	 .help = "Allow the northbound interface on an address that others can reach without HTTPS and "
		 "without "
		 "tokens: whoever reaches it controls all devices. With require-token = yes tokens are asked "
		 "for, "
		 "and cross the network in clear: for a proxy in front that does HTTPS."},
	{"http", "require-token", 0, SETTING_CHOICE, AT(http_require_token), .choices = require_token,
	 .fallback = "auto",
	 .help = "Whether callers need a token (shoalctl token create). auto: if others can reach the "
		 "listener. "
		 "A token that is presented counts in any case. The first one of an administrator is made at "
		 "the "
		 "first start that needs one, and written to the file admin-token in the store's directory."},
	{"http", "certificate", 0, SETTING_STRING, AT(http_certificate), .placeholder = "FILE",
	 .help = "Certificate for HTTPS (TLS 1.2 and above), in PEM, with the chain behind it. Read at the "
		 "start. Together with key."},
	{"http", "key", 0, SETTING_STRING, AT(http_key), .placeholder = "FILE",
	 .help = "Private key of the certificate, in PEM."},
	{"http", "admin-token-file", 0, SETTING_STRING, AT(http_admin_token_file), .placeholder = "FILE",
	 .help = "Where the first token is written, with the role admin, if callers need one and there is "
		 "none. Without "
		 "this setting: admin-token in the directory of the embedded store. Redis has no directory."},
	{"http", "connections-max", 0, SETTING_UINT, AT(http_connections_max), 8, 100000, NULL, "1024",
	 "NUMBER", "How many HTTP connections are served at once."},
	{"http", "body-max", 0, SETTING_SIZE, AT(http_body_max), 1024, 1ULL << 30, NULL, "1M", "SIZE",
	 "The largest body of an HTTP request."},

	{"store", "url", 0, SETTING_STRING, AT(store_url), .fallback = "lmdb:data", .placeholder = "URL",
	 .help = "Where devices and events are stored. lmdb:DIRECTORY is the embedded store of one node. A "
		 "cluster has Redis 7 or Valkey: redis://HOST[:PORT][/DB], rediss:// for TLS, or "
		 "redis+unix:///PATH[?db=DB]; with user@ before the host, and prefix=NAME behind a question "
		 "mark to share it with others."},
	{"store", "user", 0, SETTING_STRING, AT(store_user), .placeholder = "NAME",
	 .help = "ACL user at Redis, where it is not in the URL."},
	{"store", "password-file", 0, SETTING_STRING, AT(store_password_file), .placeholder = "FILE",
	 .help = "The password at Redis: the first line of this file."},
	{"store", "ca-file", 0, SETTING_STRING, AT(store_ca_file), .placeholder = "FILE",
	 .help = "Certificates (PEM) that the certificate of Redis has to be issued by, for rediss://. "
		 "Without "
		 "this setting those count that the system trusts."},
	{"store", "durability", 0, SETTING_CHOICE, AT(store_durability), .choices = durabilities,
	 .fallback = "auto",
	 .help = "When a write counts as stored, and may be acknowledged to the device. disk: it is on the "
		 "disk (synced); at Redis that needs appendonly yes and appendfsync always. local: the "
		 "operating system (Redis: its process) has it; a crash of the machine may lose what was not "
		 "synced, at LMDB that of the last second. replica: a replica of Redis has it too. auto: "
		 "disk "
		 "for LMDB, local for Redis."},
	{"store", "size-max", 0, SETTING_SIZE, AT(store_size_max), 1 << 20, 1ULL << 44, NULL, "16G", "SIZE",
	 "How large the store's file may grow. When it is full nothing is acknowledged any more until there "
	 "is room."},
	{"store", "journal-age-max", 0, SETTING_DURATION, AT(journal_age_max_ms), 1 SECONDS, 3650 DAYS, NULL,
	 "7d", "TIME", "Events older than this are dropped from the log."},
	{"store", "journal-size-max", 0, SETTING_SIZE, AT(journal_size_max), 1 << 16, 1ULL << 44, NULL, "4G",
	 "SIZE", "The oldest events are dropped when the log holds more than this."},
	{"store", "journal-tail-max", 0, SETTING_UINT, AT(journal_tail_max), 1000, 1000000, NULL, "250000",
	 "NUMBER", "How many journal records a start has to read at most."},
	{"store", "pending-max", 0, SETTING_SIZE, AT(store_pending_max), 1 << 20, 1ULL << 34, NULL, "64M",
	 "SIZE", "How much may wait to be written. More is left to the devices to send again."},
	{"store", "commit-interval", 0, SETTING_DURATION, AT(commit_interval_ms), 0, 1 SECONDS, NULL, "10ms",
	 "TIME",
	 "Under load, how long writes wait for others to share a commit with. Saves CPU and wear of the "
	 "disk; "
	 "devices get their answers that much later."},

	{"redis", "events", 0, SETTING_CHOICE, AT(redis_events), .choices = redis_events, .fallback = "auto",
	 .help = "What the streams of events in Redis hold. json: for each event what readers over HTTP get, "
		 "for "
		 "backends that read the streams themselves; it is written with the event, and an entry "
		 "takes "
		 "four to seven times the memory. compact: only what shoal itself needs. auto: json if "
		 "requests "
		 "or leshan-channels are on."},
	{"redis", "requests", 0, SETTING_BOOL, AT(redis_requests), .fallback = "no",
	 .help = "Take requests of backends from the stream `requests` in Redis, and answer them by streams. "
		 "Off "
		 "unless it is wanted, because it is a second door to all devices."},
	{"redis", "require-token", 0, SETTING_BOOL, AT(redis_require_token), .fallback = "yes",
	 .help = "Whether each request in the stream needs a token (shoalctl token create). `no`: whoever "
		 "may write "
		 "to the stream controls all devices, so let ACLs of Redis say who that is."},
	{"redis", "requests-max", 0, SETTING_UINT, AT(redis_requests_max), 100, 100000000, NULL, "100000",
	 "NUMBER",
	 "How many requests may wait in the stream. The oldest of more are refused, with an answer each."},
	{"redis", "answers-max", 0, SETTING_UINT, AT(redis_answers_max), 100, 100000000, NULL, "10000",
	 "NUMBER", "How many answers a stream of answers keeps, about."},
	{"redis", "answers-ttl", 0, SETTING_DURATION, AT(redis_answers_ttl_ms), 1 SECONDS, 365 DAYS, NULL,
	 "1h", "TIME", "How long a stream of answers stays after the last one was added."},
	{"redis", "tickets-ttl", 0, SETTING_DURATION, AT(redis_tickets_ttl_ms), 1 SECONDS, 365 DAYS, NULL,
	 "1h", "TIME",
	 "How long an answer is known by its ticket: whoever sends the same ticket again gets it again, and "
	 "nothing is "
	 "executed."},
	{"redis", "claim-after", 0, SETTING_DURATION, AT(redis_claim_ms), 1 SECONDS, 1 DAYS, NULL, "10s",
	 "TIME", "A request whose node gives no sign of life for so long is taken over by another."},
	{"redis", "leshan-channels", 0, SETTING_BOOL, AT(redis_leshan_channels), .fallback = "no",
	 .help = "Serve the channels of Leshan's former cluster module (LESHAN_REQ, LESHAN_RESP, "
		 "LESHAN_REG_NEW, "
		 "LESHAN_REG_UP, LESHAN_REG_DEL) as they were, for backends that were written for them. They "
		 "know no "
		 "tokens."},

	{"cluster", "listen", 0, SETTING_STRING, AT(cluster_listen), .fallback = "127.0.0.1:0",
	 .placeholder = "ADDRESS",
	 .help = "Address on which the other nodes of the cluster reach this one, over TCP with TLS; its key "
		 "is "
		 "derived from the cluster key. Port 0 takes any free port: the others learn it by the "
		 "store. The "
		 "default is for nodes on one machine. Of no use with the embedded store."},
	{"cluster", "advertise", 0, SETTING_STRING, AT(cluster_advertise), .placeholder = "ADDRESS",
	 .help = "The same as the others see it, where that is another address: behind a translation, or if "
		 "listen is a wildcard. Without a port it has that of listen."},
	{"cluster", "lease", 0, SETTING_DURATION, AT(cluster_lease_ms), 500, 60 SECONDS, NULL, "3s", "TIME",
	 "How long a node counts as alive that is not heard of. Its devices are then taken over by others."},
	{"cluster", "weight", 0, SETTING_UINT, AT(cluster_weight), 1, 16, NULL, "1", "NUMBER",
	 "This node's share of the slots of connection ids, in relation to the others."},
	{"cluster", "lookups-per-network", 0, SETTING_UINT, AT(cluster_lookups_per_s), 0, 1000000, NULL,
	 "2000", "NUMBER",
	 "How many unknown devices of one network (/24, /56) are looked up in the store in a second. 0: no "
	 "limit."},

	{"log", "level", 0, SETTING_CHOICE, AT(log_level), .choices = log_levels, .fallback = "info",
	 .help = "Least important messages that are logged."},
	{"log", "timestamps", 0, SETTING_BOOL, AT(log_timestamps), .fallback = "yes",
	 .help = "Write the time in front of each line. Turn it off where the service manager does."},
};

const struct settings_schema daemon_schema = {
	.program = "shoald",
	.prefix = "SHOAL",
	.usage = "Usage: shoald [OPTIONS]\n\nshoal, a LwM2M device-management server.\n",
	.settings = settings,
	.count = ARRAY_SIZE(settings),
};

int daemon_settings_load(struct daemon_settings *s, int argc, char **argv)
{
	struct daemon_settings first;
	int err = settings_init(&daemon_schema, &first);

	/* The command line is read twice: first to learn which file to read, at last to win over it. */
	if (!err)
		err = settings_load_arguments(&daemon_schema, &first, argc, argv, stderr);
	if (!err)
		err = settings_init(&daemon_schema, s);
	if (!err && first.config) {
		err = settings_load_file(&daemon_schema, s, first.config, stderr);
		if (err == -ENOENT)
			fprintf(stderr, "shoald: %s: there is no such file (named by --config)\n",
				first.config);
	}
	settings_deinit(&daemon_schema, &first);
	if (!err)
		err = settings_load_environment(&daemon_schema, s, stderr);
	if (!err)
		err = settings_load_arguments(&daemon_schema, s, argc, argv, stderr);
	if (err)
		return err;
	if (s->help)
		settings_print_help(&daemon_schema, stdout);
	else if (s->version)
		printf("shoald %s\n", SHOAL_VERSION);
	else if (s->print_settings)
		settings_print_reference(&daemon_schema, stdout);
	return s->help || s->version || s->print_settings;
}
