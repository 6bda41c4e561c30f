/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Peers of a node, as the leases tell them. The hard idea is that a peer is a node in one incarnation: when
 * the incarnation changes, all that was with the one before - connections, calls, tickets - ends, as if it
 * had been another node. Connections come and go below a peer; only while there is something to say, and a
 * broken one is opened anew after a pause that grows.
 */

#include "cluster/link_private.h"

#include <arpa/inet.h>
#include <errno.h>

enum { BACKOFF_MIN_MS = 20, BACKOFF_MAX_MS = 1000, STREAMS_MAX = 2 * LINKS_PEERS_MAX };

static bool is_node(const void *item, const void *key)
{
	return ((const struct link_peer *)item)->node == *(const uint32_t *)key;
}

static struct link_peer *find_any(const struct links *l, uint32_t node)
{
	return map_find(&l->peers, link_hash(l, node), is_node, &node);
}

struct link_peer *link_peer_find(const struct links *l, uint32_t node)
{
	struct link_peer *p = find_any(l, node);

	return p && !p->away ? p : NULL;
}

/* ---- connections of a peer ---- */

static void on_retry(struct timer *timer, uint64_t now_ms)
{
	struct link_peer *p = container_of(timer, struct link_peer, retry);

	(void)now_ms;
	if (p->ask_count)
		link_peer_connect(p);
}

static void on_idle(struct timer *timer, uint64_t now_ms)
{
	struct link_peer *p = container_of(timer, struct link_peer, idle);
	struct links *l = p->l;
	uint64_t due_ms = (p->ask_count ? now_ms : p->used_ms) + l->config.idle_ms;

	if (due_ms > now_ms) {
		timer_set(l->config.timers, timer, due_ms, on_idle);
		return;
	}
	link_conn_close(p->out);
	/* That was no failure: the next call opens it at once. */
	timer_cancel(l->config.timers, &p->retry);
	p->backoff_ms = 0;
}

void link_peer_lost(struct link_peer *p, struct link_conn *c)
{
	struct links *l = p->l;

	if (p->in == c)
		p->in = NULL;
	if (p->out != c)
		return;
	p->out = NULL;
	link_asks_unsent(p);
	timer_cancel(l->config.timers, &p->idle);
	/* Not all at once, when a node comes back that many want to reach. */
	p->backoff_ms = MIN(MAX(p->backoff_ms * 2, (uint64_t)BACKOFF_MIN_MS), (uint64_t)BACKOFF_MAX_MS);
	timer_set(l->config.timers, &p->retry,
		  link_now(l) + p->backoff_ms / 2 + random_u32(l->config.random) % p->backoff_ms, on_retry);
}

void link_peer_connect(struct link_peer *p)
{
	struct links *l = p->l;

	if (p->out || timer_is_set(&p->retry))
		return;
	if (link_conn_open(p) == 0)
		timer_set(l->config.timers, &p->idle, link_now(l) + l->config.idle_ms, on_idle);
	else if (!timer_is_set(&p->retry))
		timer_set(l->config.timers, &p->retry, link_now(l) + BACKOFF_MAX_MS, on_retry);
}

/* Ends all that is with this incarnation. */
static void end_incarnation(struct link_peer *p, int err)
{
	struct links *l = p->l;

	if (p->out)
		link_conn_close(p->out);
	if (p->in)
		link_conn_close(p->in);
	link_asks_fail(p, err);
	link_calls_drop(p);
	timer_cancel(l->config.timers, &p->retry);
	timer_cancel(l->config.timers, &p->idle);
	p->backoff_ms = 0;
}

static void remove_peer(struct link_peer *p)
{
	struct links *l = p->l;

	map_remove(&l->peers, link_hash(l, p->node), p);
	map_deinit(&p->seen);
	free(p);
}

/* Somebody who is away, and whose place is needed. */
static struct link_peer *find_away(const struct links *l)
{
	struct link_peer *p;
	uint32_t cursor = 0;

	while ((p = map_next(&l->peers, &cursor)))
		if (p->away)
			break;
	return p;
}

static int add_peer(struct links *l, uint32_t node, uint64_t incarnation, const struct address *at)
{
	struct link_peer *p;

	if (l->closing || l->stats.peers >= LINKS_PEERS_MAX)
		return -ENOSPC;
	if (l->peers.count >= LINKS_PEERS_MAX)
		remove_peer(find_away(l));
	p = calloc(1, sizeof(*p));
	if (!p || map_insert(&l->peers, link_hash(l, node), p) < 0) {
		free(p);
		return -ENOMEM;
	}
	p->l = l;
	p->node = node;
	p->incarnation = incarnation;
	p->at = *at;
	list_init(&p->asks);
	list_init(&p->calls);
	list_init(&p->kept);
	map_init(&p->seen);
	l->stats.peers++;
	return 0;
}

int links_set_peer(struct links *l, uint32_t node, uint64_t incarnation, const struct address *at)
{
	struct link_peer *p = find_any(l, node);

	if (node == l->config.node || (at->family != 4 && at->family != 6) || !at->port)
		return -EINVAL;
	if (!p)
		return add_peer(l, node, incarnation, at);
	if (p->away && l->stats.peers >= LINKS_PEERS_MAX)
		return -ENOSPC;
	l->stats.peers += p->away;
	p->away = false;
	p->at = *at;
	if (p->incarnation != incarnation) {
		end_incarnation(p, -ECONNRESET);
		p->incarnation = incarnation;
		p->last_ticket = 0;
	}
	return 0;
}

void links_drop_peer(struct links *l, uint32_t node)
{
	struct link_peer *p = link_peer_find(l, node);

	if (!p)
		return;
	end_incarnation(p, -ECONNRESET);
	p->away = true;
	l->stats.peers--;
}

int links_send(struct links *l, uint32_t node, uint16_t kind, struct span body)
{
	struct link_peer *p = link_peer_find(l, node);
	int err = -ENOTCONN;

	if (body.len > l->config.message_max)
		return -EMSGSIZE;
	if (p)
		link_peer_connect(p);
	if (p && p->out)
		err = link_conn_write(p->out,
				      &(struct wire_frame){.type = WIRE_MESSAGE, .kind = kind, .body = body});
	if (err < 0) {
		l->stats.messages_dropped++;
		return err == -EPIPE ? -ENOTCONN : err;
	}
	l->stats.messages_sent++;
	p->used_ms = link_now(l);
	return 0;
}

const struct links_stats *links_stats(const struct links *l)
{
	return &l->stats;
}

/* ---- life ---- */

static int make_tls(struct links *l)
{
	char identity[LINK_IDENTITY], words[NET_TLS_WORDS];
	struct net_tls_options server = {
		.server = true, .tls13_only = true, .find_psk = link_find_psk, .ctx = l};
	struct net_tls_options client = {.tls13_only = true,
					 .psk = span_of(l->config.keys[0].psk, LINKS_PSK)};
	int err;

	link_identity(l->config.node, l->config.incarnation, l->config.keys[0].id, identity);
	client.psk_identity = span_str(identity);
	err = net_tls_new(&server, &l->server_tls, words);
	if (err == 0)
		err = net_tls_new(&client, &l->client_tls, words);
	if (err < 0)
		log_event(l->config.log, LOG_ERROR, "links-unusable", "error=\"TLS: %s\"", words);
	return err;
}

static int listen_at(struct links *l)
{
	static const uint8_t any[16];
	const struct address *at = &l->config.listen;
	char host[INET6_ADDRSTRLEN];
	struct net_server_options o = {.port = at->port,
				       .tls = l->server_tls,
				       .buffer_max = l->config.bytes_max + LINK_HEADS,
				       .streams_max = STREAMS_MAX,
				       .open_ms = LINK_OPEN_MS,
				       .dead_ms = LINK_DEAD_MS};

	/* Of all addresses: both families. */
	if (at->family == 4 || memcmp(at->ip, any, sizeof(any)) != 0) {
		inet_ntop(at->family == 4 ? AF_INET : AF_INET6, at->ip, host, sizeof(host));
		o.host = host;
	}
	return net_server_listen(l->config.loop, &o, link_conn_accept, l, &l->server);
}

static void destroy(struct links *l)
{
	net_tls_free(l->client_tls);
	net_tls_free(l->server_tls);
	map_deinit(&l->peers);
	map_deinit(&l->asks);
	explicit_bzero(l->config.keys, sizeof(l->config.keys));
	free(l);
}

int links_new(const struct links_config *config, const struct links_handlers *handlers, void *ctx,
	      struct links **out)
{
	struct links *l = calloc(1, sizeof(*l));
	struct links_config *c;
	int err;

	assert(config->key_count >= 1 && config->key_count <= LINKS_KEYS);
	if (!l)
		return -ENOMEM;
	l->config = *config;
	c = &l->config;
	c->message_max = c->message_max ? c->message_max : LINKS_MESSAGE_MAX;
	c->bytes_max = c->bytes_max ? c->bytes_max : LINKS_BYTES_MAX;
	c->calls_max = c->calls_max ? c->calls_max : LINKS_CALLS_MAX;
	c->idle_ms = c->idle_ms ? c->idle_ms : LINKS_IDLE_MS;
	assert(c->bytes_max >= c->message_max + LINK_HEADS);
	l->handlers = handlers;
	l->ctx = ctx;
	list_init(&l->over);
	list_init(&l->conns);
	map_init(&l->peers);
	map_init(&l->asks);
	random_fill(c->random, &l->key, sizeof(l->key));
	err = make_tls(l);
	if (err == 0)
		err = listen_at(l);
	if (err < 0)
		destroy(l);
	else
		*out = l;
	return err;
}

uint16_t links_port(const struct links *l)
{
	return net_server_port(l->server);
}

void link_maybe_finish(struct links *l)
{
	void (*closed)(void *ctx) = l->closed;
	void *ctx = l->closed_ctx;

	if (!l->closing || !l->server_closed || !list_empty(&l->conns))
		return;
	link_asks_end(l);
	destroy(l);
	if (closed)
		closed(ctx);
}

static void on_server_closed(void *ctx)
{
	struct links *l = ctx;

	l->server_closed = true;
	link_maybe_finish(l);
}

void links_free(struct links *l, void (*closed)(void *ctx), void *ctx)
{
	uint32_t cursor = 0;
	struct link_peer *p;

	if (!l)
		return;
	assert(!l->closing);
	l->closing = true;
	l->closed = closed;
	l->closed_ctx = ctx;
	while ((p = map_next(&l->peers, &cursor))) {
		end_incarnation(p, -ECANCELED);
		remove_peer(p);
		cursor = 0;
	}
	list_for_each (node, &l->conns)
		link_conn_close(container_of(node, struct link_conn, node));
	net_server_free(l->server, on_server_closed, l);
}
