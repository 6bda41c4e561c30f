/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A node: one process, one event loop, and the wiring between sockets, store, devices and northbound
 * interface.
 *
 * A turn of the loop: datagrams come in by batches and change devices; their writes gather in the store,
 * which commits them off the loop; callbacks of stored writes produce answers; before the loop sleeps all
 * answers leave by batches. Nothing here decides anything about devices.
 */

#include "daemon/node.h"

#include "base/clock.h"
#include "daemon/backends.h"
#include "daemon/cluster.h"
#include "daemon/models.h"
#include "daemon/secrets.h"
#include "daemon/secure.h"
#include "daemon/security.h"
#include "http/http.h"
#include "lwm2m/server.h"
#include "net/listener.h"
#include "store/store.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

enum { LISTENERS_MAX = 16, REFRESH_MS = 10000 };

struct node {
	const struct daemon_settings *settings;
	const struct shared *shared; /* ports with other nodes of this machine; NULL: none */
	struct log log;
	struct random random;
	struct timers timers;
	uv_loop_t loop;
	uv_timer_t timer;
	uv_prepare_t prepare;
	uv_signal_t signals[2];
	struct listener listeners[LISTENERS_MAX];
	char uris[LISTENERS_MAX][ADDRESS_TEXT + 9];
	unsigned listener_count; /* those for plain CoAP come first, then those for DTLS */
	unsigned plain_count;
	struct security security;
	struct http_config http_config;
	struct http_southbound southbound[LISTENERS_MAX];
	struct registry *registry;
	struct store *store;
	struct vault vault;
	struct credentials *credentials;
	struct failures *failures;
	struct secure *secure;	 /* NULL: no DTLS */
	struct cluster *cluster; /* NULL: all devices are here */
	struct timer refresh;
	struct lwm2m_server *server;
	struct http *http;
	struct backends *backends; /* NULL: none that talk through the store */
	bool stopping;
	bool leaving; /* it gives its devices to other nodes first */
	bool refused; /* another process has our id */
	int status;
};

/* ---- what the management server needs from outside ---- */

static void host_send(void *ctx, const struct address *to, struct span datagram)
{
	struct node *n = ctx;

	if (to->family == ADDRESS_ASSOCIATION)
		secure_send(n->secure, to, datagram);
	else if (to->listener < n->listener_count)
		udp_send(n->listeners[to->listener].socket, to, datagram);
	else if (n->cluster)
		cluster_emit(n->cluster, to, datagram);
}

static bool host_fetch(void *ctx, const struct lwm2m_wanted *wanted)
{
	return cluster_fetch(((struct node *)ctx)->cluster, wanted);
}

static void host_answer(void *ctx, const struct lwm2m_origin *origin, const struct lwm2m_answer *answer)
{
	cluster_answer(((struct node *)ctx)->cluster, origin, answer);
}

static bool secure_unknown(void *ctx, const struct address *from, struct span cid, struct span datagram)
{
	return cluster_unknown(((struct node *)ctx)->cluster, from, cid, datagram);
}

static int host_write(void *ctx, const struct store_write *w, store_written_fn *done, void *done_ctx)
{
	struct node *n = ctx;

	return n->backends ? backends_write(n->backends, w, done, done_ctx)
			   : store_write(n->store, w, done, done_ctx);
}

static int host_request_add(void *ctx, struct store_key key, const struct store_request *r, size_t max,
			    store_request_fn *done, void *done_ctx)
{
	return store_request_add(((struct node *)ctx)->store, key, r, max, done, done_ctx);
}

static int host_request_set(void *ctx, struct store_key key, const struct store_fence *fence,
			    const struct store_request *r, store_request_fn *done, void *done_ctx)
{
	return store_request_set(((struct node *)ctx)->store, key, fence, r, done, done_ctx);
}

static int host_request_list(void *ctx, struct store_key key, store_request_fn *each, void *done_ctx)
{
	return store_request_list(((struct node *)ctx)->store, key, each, done_ctx);
}

static const struct lwm2m_queue_store queue_store = {host_request_add, host_request_set, host_request_list};

static uint64_t host_wall_ms(void *ctx)
{
	(void)ctx;
	return clock_wall_ms();
}

static uint64_t host_mono_ms(void *ctx)
{
	return uv_now(&((struct node *)ctx)->loop);
}

/* ---- a turn of the loop ---- */

static void on_datagram(void *ctx, const struct datagram *d)
{
	struct node *n = ctx;

	if (d->peer.listener < n->plain_count)
		lwm2m_server_input(n->server, &d->peer, span_of(d->data, d->len));
	else
		secure_input(n->secure, &d->peer, span_of(d->data, d->len));
}

/* What came to another node, which passed it on. */
static void on_forwarded(void *ctx, const struct address *from, bool dtls, struct span datagram)
{
	struct node *n = ctx;

	if (!dtls)
		lwm2m_server_input(n->server, from, datagram);
	else if (n->secure)
		secure_input(n->secure, from, datagram);
}

static void on_timer(uv_timer_t *timer)
{
	struct node *n = timer->data;

	timers_advance(&n->timers, uv_now(&n->loop));
}

/* Before the loop sleeps: all that was said leaves, and the next deadline wakes us. */
static void on_prepare(uv_prepare_t *prepare)
{
	struct node *n = prepare->data;
	int64_t wait;

	timers_advance(&n->timers, uv_now(&n->loop));
	for (unsigned i = 0; i < n->listener_count; i++)
		udp_flush(n->listeners[i].socket);
	wait = timers_wait_ms(&n->timers);
	if (wait >= 0)
		uv_timer_start(&n->timer, on_timer, (uint64_t)wait, 0);
	else
		uv_timer_stop(&n->timer);
}

/* ---- start ---- */

static int complain(struct node *n, const char *event, const char *what, int err, const char *hint)
{
	log_event(&n->log, LOG_ERROR, event, "%s error=\"%s\"%s%s%s", what, strerror(-err),
		  hint ? " hint=\"" : "", hint ? hint : "", hint ? "\"" : "");
	return err;
}

static int open_listener(struct node *n, const char *section, struct span item)
{
	unsigned index = n->listener_count;
	_cleanup_free_ char *text = span_dup(item);
	char what[ADDRESS_TEXT * 2], bound[ADDRESS_TEXT];
	struct address at, local;
	int err;

	if (!text || address_parse(text, &at) < 0 || index == LISTENERS_MAX) {
		fprintf(stderr,
			"shoald: [%s] listen: '%s' is not usable: it takes up to %d numeric addresses such "
			"as [::]:5683 or 192.0.2.1:5683\n",
			section, text ? text : "", LISTENERS_MAX);
		n->status = 2;
		return -EINVAL;
	}
	snprintf(what, sizeof(what), "address=%s", text);
	if (n->shared)
		err = listener_adopt(&n->listeners[index], &n->loop, n->shared->fds[index], (uint8_t)index,
				     on_datagram, n);
	else
		err = listener_open(&n->listeners[index], &n->loop, &at, (uint8_t)index, on_datagram, n);
	if (err < 0) {
		char hint[96];

		snprintf(hint, sizeof(hint), "another program serves this port; set [%s] listen", section);
		return complain(n, "cannot-listen", what, err, err == -EADDRINUSE ? hint : NULL);
	}
	local = udp_local(n->listeners[index].socket);
	snprintf(n->uris[index], sizeof(n->uris[index]), "%s://%s",
		 strcmp(section, "dtls") == 0 ? "coaps" : "coap", address_format(&local, bound));
	n->listener_count++;
	return 0;
}

static int open_listeners(struct node *n, const char *section, const char *list)
{
	struct span item;
	int err = 0;

	while (err == 0 && settings_list_next(&list, &item))
		if (!span_is(item, "none"))
			err = open_listener(n, section, item);
	return err;
}

static int open_store(struct node *n)
{
	const struct daemon_settings *set = n->settings;
	_cleanup_buffer_ struct buffer password = buffer_of(4096);
	struct store_options options;
	int err = store_password(set, &n->log, &password);

	if (err < 0)
		return err;
	store_options_init(&options);
	options.user = set->store_user;
	options.password = password.len ? (const char *)password.data : NULL;
	options.ca_file = set->store_ca_file;
	options.durability = set->store_durability;
	options.size_max = set->store_size_max;
	options.journal_age_max_ms = set->journal_age_max_ms;
	options.journal_bytes_max = set->journal_size_max;
	options.tail_max = (uint32_t)set->journal_tail_max;
	options.pending_bytes_max = set->store_pending_max;
	options.commit_interval_ms = set->commit_interval_ms;
	err = store_open(set->store_url, &options, (uint32_t)set->node_id, &n->loop, &n->log, &n->store);
	if (password.len)
		explicit_bzero(password.data, password.len);
	if (err == -EINVAL)
		n->status = 2;
	return err;
}

static int restore_device(void *ctx, const struct store_device *stored)
{
	struct node *n = ctx;
	char ep[128];
	int err = lwm2m_server_restore(n->server, stored);

	if (err == -EPROTO) {
		log_limited(&n->log, LOG_ERROR, 10, "unreadable-device",
			    "ep=%s hint=\"kept in the store, not served\"",
			    log_quote(stored->key.endpoint.data, stored->key.endpoint.len, ep, sizeof(ep)));
		return 0;
	}
	return err;
}

static void credentials_gone(void *ctx, struct span endpoint, const struct credential_entry *gone,
			     size_t count)
{
	struct node *n = ctx;

	(void)gone;
	(void)count;
	if (n->secure)
		secure_revoke(n->secure, endpoint);
	if (n->cluster)
		cluster_changed(n->cluster, STORE_CREDENTIAL, endpoint);
}

/* Of what other nodes change in the store, this is what we have in memory. */
static void document_changed(void *ctx, uint8_t kind, struct span name)
{
	struct node *n = ctx;

	if (kind == STORE_CREDENTIAL && n->secure)
		secure_revoke(n->secure, name);
	else if (kind == STORE_MODEL)
		models_reload(n->registry, n->store, &n->log, name);
	else if (kind == STORE_SETTING)
		tokens_refresh(n->security.tokens);
}

static void token_changed(void *ctx, struct span name)
{
	cluster_changed(((struct node *)ctx)->cluster, STORE_SETTING, name);
}

/* For what we were not told. */
static void on_refresh(struct timer *t, uint64_t now_ms)
{
	struct node *n = container_of(t, struct node, refresh);

	tokens_refresh(n->security.tokens);
	timer_set(&n->timers, t, now_ms + REFRESH_MS, on_refresh);
}

static void auth_failed(void *ctx, const struct failure_row *row)
{
	struct node *n = ctx;

	if (n->http)
		http_auth_failure(n->http, row);
}

static void node_stop(struct node *n);
static void cluster_joined(void *ctx);

static void cluster_refused(void *ctx)
{
	struct node *n = ctx;

	n->status = 1;
	n->refused = true;
	node_stop(n);
}

static void emit(void *ctx, const struct address *to, struct span datagram)
{
	struct node *n = ctx;

	if (to->listener < n->listener_count)
		udp_send(n->listeners[to->listener].socket, to, datagram);
}

static int start_cluster(struct node *n)
{
	const struct cluster_parts parts = {.settings = n->settings,
					    .loop = &n->loop,
					    .timers = &n->timers,
					    .random = &n->random,
					    .log = &n->log,
					    .store = n->store,
					    .vault = &n->vault,
					    .shared = n->shared,
					    .plain_count = n->plain_count,
					    .ctx = n,
					    .emit = emit,
					    .input = on_forwarded,
					    .changed = document_changed,
					    .joined = cluster_joined,
					    .refused = cluster_refused};

	tokens_on_change(n->security.tokens, token_changed, n);
	timer_set(&n->timers, &n->refresh, n->timers.now_ms + REFRESH_MS, on_refresh);
	return cluster_new(&parts, &n->cluster);
}

static int start_security(struct node *n)
{
	struct secure_parts parts = {.settings = n->settings,
				     .loop = &n->loop,
				     .timers = &n->timers,
				     .random = &n->random,
				     .log = &n->log,
				     .store = n->store,
				     .vault = &n->vault,
				     .ctx = n,
				     .send = host_send,
				     .failed = auth_failed};
	struct siphash_key hash_key;
	int err = vault_load(n->settings, store_incarnation(n->store), &n->random, &n->log, &n->vault);

	if (err == 0 && cluster_wanted(n->settings))
		err = start_cluster(n);
	if (err < 0)
		return err;
	parts.unknown = n->cluster ? secure_unknown : NULL;
	random_fill(&n->random, &hash_key, sizeof(hash_key));
	parts.credentials = n->credentials = credentials_new(n->store, &n->vault, credentials_gone, n);
	parts.failures = n->failures = failures_new(&hash_key);
	if (!n->credentials || !n->failures)
		return -ENOMEM;
	return n->plain_count < n->listener_count ? secure_new(&parts, &n->secure) : 0;
}

static int start_server(struct node *n)
{
	const struct daemon_settings *set = n->settings;
	const struct lwm2m_host host = {.ctx = n,
					.send = host_send,
					.write = host_write,
					.wall_ms = host_wall_ms,
					.mono_ms = host_mono_ms,
					.security = n->secure ? secure_layer(n->secure) : NULL,
					.queue = set->queue_enabled ? &queue_store : NULL,
					.fetch = n->cluster ? host_fetch : NULL,
					.answer = n->cluster ? host_answer : NULL};
	struct lwm2m_config config;

	lwm2m_config_init(&config);
	config.strict = set->strict;
	config.shared_credentials = set->shared_credentials;
	config.default_lifetime_s = (uint32_t)set->default_lifetime_s;
	config.lifetime_grace_ms = (uint32_t)set->lifetime_grace_ms;
	config.awake_ms = (uint32_t)set->awake_ms;
	config.devices_max = set->devices_max;
	config.requests_max = set->requests_max;
	config.observe_rate = (uint32_t)set->observe_rate;
	config.queue = (struct lwm2m_queue_config){.ttl_ms = set->queue_ttl_ms,
						   .ttl_max_ms = set->queue_ttl_max_ms,
						   .keep_ms = set->queue_keep_ms,
						   .requests_max = (uint32_t)set->queue_requests_max,
						   .bytes_max = (uint32_t)set->queue_bytes_max,
						   .attempts_max = (uint32_t)set->queue_attempts_max,
						   .rate = (uint32_t)set->queue_rate};
	config.coap.ack_timeout_ms = (uint32_t)set->ack_timeout_ms;
	config.coap.ack_random_permille = (uint32_t)set->ack_random_percent * 10;
	config.coap.max_retransmit = (uint32_t)set->max_retransmit;
	config.coap.nstart = (uint32_t)set->nstart;
	config.coap.response_timeout_ms = (uint32_t)set->response_timeout_ms;
	config.coap.max_waiting = (uint32_t)set->max_waiting;
	config.hash_key = store_hash_key(n->store);
	config.index = n->cluster != NULL;
	config.fence = (struct store_fence){.node = (uint32_t)set->node_id,
					    .incarnation = store_incarnation(n->store)};
	n->server = lwm2m_server_new(&config, &host, n->registry, &n->timers, &n->random, &n->log);
	if (!n->server)
		return -ENOMEM;
	if (n->secure)
		secure_serve(n->secure, n->server);
	if (n->cluster)
		return cluster_serve(n->cluster, n->server, n->secure);
	return store_scan(n->store, STORE_MANAGEMENT, restore_device, n);
}

static int open_backends(struct node *n)
{
	const struct backends_parts parts = {.settings = n->settings,
					     .loop = &n->loop,
					     .log = &n->log,
					     .store = n->store,
					     .registry = n->registry};
	int err = backends_new(&parts, &n->backends);

	if (err == -EINVAL)
		n->status = 2;
	return err;
}

static void transport_totals(void *ctx, struct http_transport_stats *total)
{
	struct node *n = ctx;
	struct http_udp_stats *out = &total->udp;

	for (unsigned i = 0; i < n->listener_count; i++) {
		const struct udp_stats *s = udp_stats(n->listeners[i].socket);

		out->received += s->received;
		out->received_bytes += s->received_bytes;
		out->truncated += s->truncated;
		out->receive_errors += s->receive_errors;
		out->sent += s->sent;
		out->sent_bytes += s->sent_bytes;
		out->send_dropped += s->send_dropped;
	}
	if (n->secure)
		secure_stats(n->secure, &total->dtls);
}

static int start_http(struct node *n)
{
	struct http_config *config = &n->http_config;
	char what[ADDRESS_TEXT * 2];
	int err;

	for (unsigned i = 0; i < n->listener_count; i++)
		n->southbound[i] = (struct http_southbound){
			n->uris[i], i < n->plain_count ? "CoAP over UDP" : "CoAP over DTLS"};
	config->version = SHOAL_VERSION;
	config->share_port = n->shared;
	config->connections_max = (unsigned)n->settings->http_connections_max;
	config->body_max = n->settings->http_body_max;
	config->registry = n->registry;
	config->southbound = n->southbound;
	config->southbound_count = n->listener_count;
	config->credentials = n->credentials;
	config->failures = n->failures;
	config->node = (uint32_t)n->settings->node_id;
	config->awake_ms = n->settings->awake_ms;
	if (n->cluster)
		config->cluster = cluster_http(n->cluster);
	if (n->secure) {
		config->public_key = secure_public_key(n->secure);
		config->certificate = secure_certificate(n->secure);
	}
	err = http_new(config, &n->loop, n->server, n->store, &n->log, transport_totals, n, &n->http);
	if (err == 0 && n->cluster)
		cluster_serve_http(n->cluster, n->http);
	if (err < 0) {
		snprintf(what, sizeof(what), "address=%s", n->settings->http_listen);
		complain(n, "cannot-listen", what, err,
			 err == -EADDRINUSE ? "another program serves this port; set [http] listen" : NULL);
	}
	return err;
}

static void list_addresses(const struct node *n, unsigned from, unsigned to, char *text, size_t size)
{
	struct writer w = writer_of(text, size - 1);

	for (unsigned i = from; i < to; i++) {
		writer_str(&w, i > from ? "," : "");
		writer_str(&w, strstr(n->uris[i], "//") + 2);
	}
	*w.pos = 0;
}

static void say_ready(struct node *n)
{
	char coap[LISTENERS_MAX * (ADDRESS_TEXT + 2)], dtls[LISTENERS_MAX * (ADDRESS_TEXT + 2)],
		http[ADDRESS_TEXT];
	struct address at = n->http_config.listen;

	list_addresses(n, 0, n->plain_count, coap, sizeof(coap));
	list_addresses(n, n->plain_count, n->listener_count, dtls, sizeof(dtls));
	at.port = http_port(n->http);
	log_event(&n->log, LOG_INFO, "ready", "version=%s coap=\"%s\" dtls=\"%s\" http=\"%s\" devices=%zu",
		  SHOAL_VERSION, coap, dtls, address_format(&at, http), lwm2m_device_count(n->server));
}

/* ---- stop: no more datagrams, then no more requests, then the last writes and their answers ---- */

static void close_handle(uv_handle_t *handle, void *ctx)
{
	(void)ctx;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static void store_closed(void *ctx)
{
	struct node *n = ctx;

	n->store = NULL;
	for (unsigned i = 0; i < n->listener_count; i++)
		udp_flush(n->listeners[i].socket);
	uv_walk(&n->loop, close_handle, NULL);
}

static void cluster_stopped(void *ctx)
{
	struct node *n = ctx;

	if (n->store)
		store_close(n->store, store_closed, n);
	else
		store_closed(n);
}

static void http_stopped(void *ctx)
{
	struct node *n = ctx;

	n->http = NULL;
	if (n->cluster)
		cluster_stop(n->cluster, cluster_stopped, n);
	else
		cluster_stopped(n);
}

static void backends_stopped(void *ctx)
{
	struct node *n = ctx;

	if (n->http)
		http_stop(n->http, http_stopped, n);
	else
		http_stopped(n);
}

static void node_stop(struct node *n)
{
	if (n->stopping)
		return;
	n->stopping = true;
	timer_cancel(&n->timers, &n->refresh);
	if (n->cluster)
		cluster_serve_http(n->cluster, NULL);
	for (unsigned i = 0; i < n->listener_count; i++)
		listener_stop(&n->listeners[i]);
	backends_stop(n->backends, backends_stopped, n);
}

static void cluster_left(void *ctx)
{
	node_stop(ctx);
}

static void on_signal(uv_signal_t *signal, int number)
{
	struct node *n = signal->data;

	if (n->stopping || n->leaving)
		_exit(1); /* asked twice: now */
	log_event(&n->log, LOG_INFO, "stopping", "signal=%d", number);
	n->leaving = true;
	if (n->cluster)
		cluster_leave(n->cluster, cluster_left, n);
	else
		node_stop(n);
}

/* ---- life ---- */

/* GnuTLS logs the secrets of handshakes to where this variable says: only if the settings say so, too. */
static void choose_key_log(struct node *n)
{
	const char *path = n->settings->dtls_key_log_file;

	if (!path) {
		unsetenv("SSLKEYLOGFILE");
		return;
	}
	setenv("SSLKEYLOGFILE", path, 1);
	log_event(&n->log, LOG_WARN, "key-log",
		  "path=\"%s\" hint=\"whoever has this file reads all sessions\"", path);
}

static void raise_limits(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	signal(SIGPIPE, SIG_IGN);
}

static int init_loop(struct node *n)
{
	static const int numbers[] = {SIGTERM, SIGINT};
	int err = uv_loop_init(&n->loop);

	if (err)
		return err;
	uv_timer_init(&n->loop, &n->timer);
	uv_prepare_init(&n->loop, &n->prepare);
	n->timer.data = n->prepare.data = n;
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uv_signal_init(&n->loop, &n->signals[i]);
		n->signals[i].data = n;
		err = uv_signal_start(&n->signals[i], on_signal, numbers[i]);
		if (err)
			return err;
	}
	timers_init(&n->timers, uv_now(&n->loop));
	return 0;
}

/* Devices and backends are heard from now on. */
static int serve(struct node *n)
{
	int err = 0;

	for (unsigned i = 0; !err && i < n->listener_count; i++)
		err = listener_start(&n->listeners[i]);
	if (!err && n->backends)
		err = backends_serve(n->backends, n->http);
	if (err)
		return err;
	say_ready(n);
	if (n->shared)
		shared_say_ready(n->shared);
	return 0;
}

/* Before the others are known everybody else seems dead. */
static void cluster_joined(void *ctx)
{
	struct node *n = ctx;

	if (n->stopping || serve(n) == 0)
		return;
	n->refused = true;
	node_stop(n);
}

static int start(struct node *n)
{
	int err;

	http_config_init(&n->http_config);
	err = security_check(&n->security, n->settings, &n->log, &n->http_config);
	if (err)
		n->status = 2;
	n->registry = registry_new();
	if (!err && !n->registry)
		err = -ENOMEM;
	if (!err)
		err = open_listeners(n, "coap", n->settings->coap_listen);
	n->plain_count = n->listener_count;
	if (!err)
		err = open_listeners(n, "dtls", n->settings->dtls_listen);
	if (!err)
		err = open_store(n);
	if (!err)
		err = security_open(&n->security, n->store, &n->loop, &n->random, &n->http_config);
	if (!err)
		err = start_security(n);
	if (!err)
		err = models_load(n->registry, n->settings->models_directory, n->store, &n->loop, &n->log);
	if (!err)
		err = open_backends(n);
	if (!err)
		err = start_server(n);
	if (!err)
		err = start_http(n);
	if (!err && !n->cluster)
		err = serve(n);
	if (!err)
		err = uv_prepare_start(&n->prepare, on_prepare);
	return err;
}

int node_run(const struct daemon_settings *settings, const struct shared *shared)
{
	struct node *n = calloc(1, sizeof(*n));
	int err, status;

	if (!n)
		return 1;
	n->settings = settings;
	n->shared = shared;
	n->status = 1;
	raise_limits();
	log_init(&n->log, STDERR_FILENO, settings->log_level);
	n->log.timestamps = settings->log_timestamps;
	choose_key_log(n);
	random_init_kernel(&n->random);
	err = init_loop(n);
	if (!err)
		err = start(n);
	if (err) {
		if (n->status == 1)
			log_event(&n->log, LOG_ERROR, "cannot-start", "error=\"%s\"", strerror(-err));
		node_stop(n);
	}
	uv_run(&n->loop, UV_RUN_DEFAULT);
	uv_loop_close(&n->loop);
	lwm2m_server_free(n->server);
	backends_free(n->backends);
	cluster_free(n->cluster);
	secure_free(n->secure);
	credentials_free(n->credentials);
	failures_free(n->failures);
	vault_deinit(&n->vault);
	security_close(&n->security);
	registry_free(n->registry);
	for (unsigned i = 0; i < n->listener_count; i++)
		listener_free(&n->listeners[i]);
	status = err || n->refused ? n->status : 0;
	log_event(&n->log, LOG_INFO, "stopped", "status=%d", status);
	free(n);
	return status;
}
