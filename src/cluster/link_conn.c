/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Connections of links. That a node has the cluster key is for TLS to see, in both directions; that it is the
 * node it has to be is seen by the first frame of each side, which names both ends with their incarnations. A
 * connection that is taken to a wrong place - an old address, another node, a mirror - ends there. What was
 * recorded is of no use: TLS has fresh keys for each connection.
 */

#include "cluster/link_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>

enum { LOGS_PER_MINUTE = 30, ERRNO_MAX = 4095 };

/* ---- who ---- */

void link_identity(uint32_t node, uint64_t incarnation, const uint8_t key_id[LINKS_KEY_ID],
		   char text[LINK_IDENTITY])
{
	(void)snprintf(text, LINK_IDENTITY, "%u.%llu.%02x%02x%02x%02x", node, (unsigned long long)incarnation,
		       key_id[0], key_id[1], key_id[2], key_id[3]);
}

/* True if the identity is that of the node under this key. */
static bool is_identity(struct span identity, const struct wire_hello *hello, const struct links_key *key)
{
	char text[LINK_IDENTITY];

	link_identity(hello->from, hello->from_incarnation, key->id, text);
	return span_is(identity, text);
}

static bool is_proven(const struct link_conn *c, const struct wire_hello *hello)
{
	struct span identity = net_stream_psk_identity(c->s);

	for (size_t i = 0; i < c->l->config.key_count; i++)
		if (is_identity(identity, hello, &c->l->config.keys[i]))
			return true;
	return false;
}

/* The end of the identity says which of the keys it is. Whether a lease knows the rest of the name is seen
 * later, where it can be said. */
size_t link_find_psk(void *ctx, struct span identity, uint8_t key[NET_TLS_KEY_MAX])
{
	const struct links *l = ctx;

	for (size_t i = 0; i < l->config.key_count; i++) {
		const struct links_key *k = &l->config.keys[i];
		char text[LINK_IDENTITY];
		struct span end;

		link_identity(0, 0, k->id, text);
		end = span_str(strrchr(text, '.'));
		if (identity.len <= end.len || !span_equal(span_from(identity, identity.len - end.len), end))
			continue;
		memcpy(key, k->psk, sizeof(k->psk));
		return sizeof(k->psk);
	}
	return 0;
}

static int write_hello(struct link_conn *c, uint32_t to, uint64_t to_incarnation)
{
	struct wire_hello hello = {.from = c->l->config.node,
				   .from_incarnation = c->l->config.incarnation,
				   .to = to,
				   .to_incarnation = to_incarnation};
	uint8_t body[WIRE_HELLO_LEN];
	struct writer w = writer_of(body, sizeof(body));

	wire_hello_encode(&hello, &w);
	return link_conn_write(c,
			       &(struct wire_frame){.type = WIRE_HELLO, .body = span_of(body, sizeof(body))});
}

static bool is_for_us(const struct link_conn *c, const struct wire_hello *hello)
{
	return hello->to == c->l->config.node && hello->to_incarnation == c->l->config.incarnation;
}

static void refuse(struct link_conn *c, const struct wire_hello *hello, const char *why)
{
	c->l->stats.refused++;
	log_limited(c->l->config.log, LOG_WARN, LOGS_PER_MINUTE, "link-refused",
		    "peer=\"%s\" node=%u incarnation=%llu cause=\"%s\"", net_stream_peer(c->s), hello->from,
		    (unsigned long long)hello->from_incarnation, why);
	link_conn_close(c);
}

/* Closes for what the peer sent, which no node of ours sends. */
static void break_off(struct link_conn *c, const char *why)
{
	c->l->stats.broken++;
	log_limited(c->l->config.log, LOG_ERROR, LOGS_PER_MINUTE, "link-broken", "peer=\"%s\" cause=\"%s\"",
		    net_stream_peer(c->s), why);
	link_conn_close(c);
}

/* ---- frames ---- */

static void on_hello_of_caller(struct link_conn *c, const struct wire_frame *frame)
{
	struct wire_hello hello;
	struct link_peer *p;

	if (c->greeted || wire_hello_parse(frame->body, &hello) < 0) {
		break_off(c, "a hello that cannot be");
		return;
	}
	if (!is_proven(c, &hello)) {
		refuse(c, &hello, "not the name it has in TLS");
		return;
	}
	if (!is_for_us(c, &hello)) {
		refuse(c, &hello, "it looks for another node or incarnation");
		return;
	}
	p = link_peer_find(c->l, hello.from);
	if (!p || p->incarnation != hello.from_incarnation) {
		refuse(c, &hello, p ? "not the incarnation of its lease" : "no lease is known");
		if (c->l->handlers->on_stranger)
			c->l->handlers->on_stranger(c->l->ctx, hello.from, hello.from_incarnation);
		return;
	}
	/* One of each: calls that come by an older one now are echoes. */
	if (p->in)
		link_conn_close(p->in);
	c->greeted = true;
	c->peer = p;
	c->number = p->node;
	p->in = c;
	c->l->stats.links_in++;
	if (write_hello(c, p->node, p->incarnation) == 0)
		link_calls_push(p);
}

static void on_hello_of_called(struct link_conn *c, const struct wire_frame *frame)
{
	struct link_peer *p = c->peer;
	struct wire_hello hello;

	if (c->greeted || wire_hello_parse(frame->body, &hello) < 0)
		break_off(c, "a hello that cannot be");
	else if (hello.from != p->node || hello.from_incarnation != p->incarnation || !is_for_us(c, &hello))
		refuse(c, &hello, "not the node that was called");
	else {
		c->greeted = true;
		c->l->stats.links_out++;
		p->backoff_ms = 0;
	}
}

static void on_message(struct link_conn *c, const struct wire_frame *frame)
{
	struct links *l = c->l;

	l->stats.messages_received++;
	l->handlers->on_message(l->ctx, c->peer->node, c->peer->incarnation, frame->kind, frame->body);
}

static void on_call(struct link_conn *c, const struct wire_frame *frame)
{
	if (frame->ticket == 0)
		break_off(c, "a call without a ticket");
	else
		link_call_received(c->peer, frame);
}

static void on_answer(struct link_conn *c, const struct wire_frame *frame)
{
	link_ask_answered(c->peer, frame, 0);
}

static void on_refusal(struct link_conn *c, const struct wire_frame *frame)
{
	if (frame->time < 1 || frame->time > ERRNO_MAX)
		break_off(c, "a refusal without a reason");
	else
		link_ask_answered(c->peer, frame, -(int)frame->time);
}

typedef void frame_fn(struct link_conn *c, const struct wire_frame *frame);

/* What each end may send: [of the one that was called][type]. */
static frame_fn *const by_type[2][WIRE_TYPES] = {
	{[WIRE_HELLO] = on_hello_of_caller, [WIRE_MESSAGE] = on_message, [WIRE_CALL] = on_call},
	{[WIRE_HELLO] = on_hello_of_called, [WIRE_ANSWER] = on_answer, [WIRE_REFUSAL] = on_refusal},
};

static void take_frame(struct link_conn *c, const struct wire_frame *frame)
{
	frame_fn *fn = by_type[c->outgoing][frame->type];

	if (!fn || (!c->greeted && frame->type != WIRE_HELLO))
		break_off(c, "a frame out of turn");
	else
		fn(c, frame);
}

/* ---- the stream ---- */

static void on_data(void *ctx, struct net_stream *s, struct span data)
{
	struct link_conn *c = ctx;
	struct wire_frame frame;
	int r = 0;

	(void)s;
	while (r == 0 && !c->closing) {
		r = wire_next(&c->input, &data, &frame);
		if (r == 0)
			take_frame(c, &frame);
	}
	if (r < 0)
		break_off(c, r == -EMSGSIZE ? "a frame that is too long"
			     : r == -ENOMEM ? "no memory for a frame"
					    : "not a frame of this version");
}

static void on_opened(void *ctx, struct net_stream *s)
{
	struct link_conn *c = ctx;

	(void)s;
	c->opened = true;
	if (c->outgoing && c->peer)
		link_asks_left(c->peer);
}

static void on_drained(void *ctx, struct net_stream *s)
{
	struct link_conn *c = ctx;

	(void)s;
	if (!c->peer)
		return;
	if (c->outgoing)
		link_asks_push(c->peer);
	else
		link_calls_push(c->peer);
}

/* From here on nothing leads from its peer to it, nor back. */
static void leave(struct link_conn *c)
{
	struct link_peer *p = c->peer;

	c->closing = true;
	if (c->greeted)
		*(c->outgoing ? &c->l->stats.links_out : &c->l->stats.links_in) -= 1;
	else if (c->outgoing)
		c->l->stats.connect_failures++;
	c->peer = NULL;
	if (p)
		link_peer_lost(p, c);
}

static void on_closed(void *ctx, int err, const char *words)
{
	struct link_conn *c = ctx;
	struct links *l = c->l;
	enum log_level level = err == 0 || err == -ECANCELED ? LOG_DEBUG : LOG_WARN;

	if (!c->outgoing && !c->opened && err < 0 && err != -ECANCELED)
		l->stats.refused++;
	log_limited(l->config.log, level, LOGS_PER_MINUTE,
		    c->outgoing ? "link-closed" : "link-closed-by-peer", "node=%u error=\"%s\"", c->number,
		    words);
	if (!c->closing)
		leave(c);
	list_remove(&c->node);
	wire_input_deinit(&c->input);
	free(c);
	link_maybe_finish(l);
}

const struct net_stream_handlers link_conn_handlers = {on_opened, on_data, on_drained, on_closed};

void link_conn_close(struct link_conn *c)
{
	if (c->closing)
		return;
	leave(c);
	net_stream_close(c->s);
}

int link_conn_write(struct link_conn *c, const struct wire_frame *frame)
{
	uint8_t head[WIRE_HEAD];
	struct writer w = writer_of(head, sizeof(head));
	struct span parts[] = {span_of(head, sizeof(head)), frame->body};

	wire_head_encode(frame, &w);
	return net_stream_writev(c->s, parts, ARRAY_SIZE(parts));
}

static struct link_conn *conn_new(struct links *l)
{
	struct link_conn *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->l = l;
	wire_input_init(&c->input, l->config.message_max);
	list_append(&l->conns, &c->node);
	return c;
}

static void host_of(const struct address *a, char text[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE])
{
	char zone[IF_NAMESIZE];

	inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->ip, text, INET6_ADDRSTRLEN);
	if (a->scope && if_indextoname(a->scope, zone)) {
		strcat(text, "%");
		strcat(text, zone);
	}
}

int link_conn_open(struct link_peer *p)
{
	struct links *l = p->l;
	char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
	struct net_stream_options o = {.host = host,
				       .port = p->at.port,
				       .tls = l->client_tls,
				       .open_ms = LINK_OPEN_MS,
				       .dead_ms = LINK_DEAD_MS,
				       .buffer_max = l->config.bytes_max + LINK_HEADS};
	struct link_conn *c = conn_new(l);
	int err;

	if (!c)
		return -ENOMEM;
	host_of(&p->at, host);
	c->outgoing = true;
	err = net_stream_connect(l->config.loop, &o, &link_conn_handlers, c, &c->s);
	if (err < 0) {
		list_remove(&c->node);
		free(c);
		return err;
	}
	l->stats.connects++;
	c->peer = p;
	c->number = p->node;
	p->out = c;
	/* It is the first thing in an empty buffer. */
	err = write_hello(c, p->node, p->incarnation);
	if (err < 0)
		link_conn_close(c);
	else
		link_asks_push(p);
	return err;
}

const struct net_stream_handlers *link_conn_accept(void *ctx, struct net_stream *s, void **stream_ctx)
{
	struct link_conn *c = conn_new(ctx);

	if (!c)
		return NULL;
	c->s = s;
	*stream_ctx = c;
	return &link_conn_handlers;
}
