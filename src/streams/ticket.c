/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A request from its entry in the stream to its answer.
 *
 * The hard idea: each step is one script or one call that is done or not, and the state that counts is in
 * Redis (ticket_begin.lua). Before anything may reach the device the ticket is marked begun; whoever finds it
 * begun by a node that is gone executes it again if that does no harm, else says that nobody knows
 * (architecture, rule 10). So a node may die between any two steps, and what this node cannot say now it says
 * a second later.
 *
 *   BEGIN -> RUN -> END -> DONE                    answered
 *                -> QUEUE -> TELL -> DONE          waits for its device; goes on in waiting.c
 *   BEGIN -> DONE                                  was answered before: told again
 */

#include "streams/private.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

enum { ARENA_MAX = 4 << 20, RETRY_MS = 1000, KEPT_MAX = 64 * 1024, TIMEOUT_MARGIN_MS = 600000 };
static const uint64_t waiting_margin_ms = 24ULL * 3600 * 1000;

enum step { STEP_BEGIN, STEP_RUN, STEP_QUEUE, STEP_TELL, STEP_END, STEP_DONE };

struct ticket {
	struct list node;
	struct streams *streams;
	struct arena arena;
	struct ticket_place at;
	struct span ep, token;
	struct backend_request request;
	uint64_t take; /* number of this attempt */
	enum step step;
	bool under_way; /* its command or call has not come back */
	bool told;	/* that it was accepted */
	uint64_t began_ms, retry_ms;
	struct outcome outcome;
	char queued_id[37];
	uint64_t queued_until_ms;
};

static void run_step(struct ticket *t);

static void ticket_free(struct ticket *t)
{
	list_remove(&t->node);
	t->streams->ticket_count--;
	outcome_deinit(&t->outcome);
	arena_deinit(&t->arena);
	free(t);
}

static void go_to(struct ticket *t, enum step step)
{
	t->step = step;
	run_step(t);
}

static void end_with(struct ticket *t, const char *ack, unsigned status, const char *error, const char *words)
{
	outcome_error(&t->outcome, ack, status, error, span_str(words));
	go_to(t, STEP_END);
}

/* ---- keys ---- */

/* What decides on the shard of a key; empty if no other key could be made to lie there too. */
static struct span hash_tag(struct span key)
{
	const uint8_t *open = key.len ? memchr(key.data, '{', key.len) : NULL;
	const uint8_t *end = key.data + key.len, *close;

	if (open && (close = memchr(open, '}', (size_t)(end - open))) && close > open + 1)
		return span_of(open + 1, (size_t)(close - open - 1));
	return key.len && memchr(key.data, '}', key.len) ? span_of(NULL, 0) : key;
}

struct span ticket_key(const struct streams *s, const struct ticket_place *at, uint8_t key[KEY_MAX])
{
	struct writer w = writer_of(key, KEY_MAX);
	struct span tag = hash_tag(at->reply);

	writer_str(&w, redis_side_layout(s->store)->prefix);
	writer_str(&w, "ticket:{");
	writer_bytes(&w, tag);
	writer_str(&w, "}:");
	writer_bytes(&w, at->name.len ? at->name : at->entry);
	return w.failed || !tag.len ? span_of(NULL, 0) : writer_span(&w);
}

/* A script on a ticket and its stream of answers. */
static struct redis_command *script(struct streams *s, enum redis_script which, const struct ticket_place *at,
				    redis_command_fn *done, void *ctx)
{
	struct redis_command *c = redis_command_script(s->store, which, 2, done, ctx);
	uint8_t key[KEY_MAX];

	if (!c)
		return NULL;
	redis_command_arg(c, ticket_key(s, at, key));
	redis_command_arg(c, at->reply);
	redis_command_arg(c, at->entry);
	redis_command_arg(c, at->name);
	return c;
}

int ticket_send_end(struct streams *s, const struct ticket_place *at, const struct outcome *o,
		    redis_command_fn *done, void *ctx)
{
	struct redis_command *c = script(s, REDIS_TICKET_END, at, done, ctx);

	if (!c)
		return -ENOMEM;
	redis_command_arg_str(c, o->ack);
	redis_command_arg_str(c, o->result ? "result" : "error");
	redis_command_arg_uint(c, o->status);
	redis_command_arg_str(c, o->error);
	redis_command_arg(c, buffer_span(&o->text));
	redis_command_arg_uint(c, s->config.answers_max);
	redis_command_arg_uint(c, s->config.answers_ttl_ms);
	redis_command_arg_uint(c, s->config.tickets_ttl_ms);
	redis_command_arg_uint(c, KEPT_MAX);
	return redis_command_send(c);
}

/* ---- steps ---- */

/* True: the step is over. Else it is tried again, or given up where that cannot help. */
static bool step_worked(struct ticket *t, int err)
{
	struct streams *s = t->streams;

	t->under_way = false;
	if (s->stopping && err < 0) {
		ticket_free(t);
		return false;
	}
	if (err == 0)
		return true;
	log_limited(s->log, LOG_WARN, 6, "request-not-answered", "ticket=%s reply=%s error=\"%s\"",
		    LOG_SPAN(t->at.name), LOG_SPAN(t->at.reply),
		    err == -EBADMSG ? "a key is of another type" : strerror(-err));
	if (err == -EBADMSG || err == -EACCES) /* there is no stream that it could be answered on */
		go_to(t, STEP_DONE);
	else if (t->step ==
		 STEP_BEGIN) /* nothing happened: it stays in the stream, and is taken over later */
		ticket_free(t);
	else
		t->retry_ms = uv_now(s->loop) + RETRY_MS;
	return false;
}

enum { BEGIN_RUN = 1, BEGIN_UNKNOWN = 2, BEGIN_OVER = 3 };

static void on_begun(void *ctx, int err, const struct redisReply *reply)
{
	struct ticket *t = ctx;

	if (!step_worked(t, err))
		return;
	switch (reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0) {
	case BEGIN_RUN:
		if (t->outcome.ack) /* it was refused when it was read */
			go_to(t, STEP_END);
		else
			go_to(t, STEP_RUN);
		break;
	case BEGIN_UNKNOWN:
		end_with(t, "accepted", 504, "outcome-unknown",
			 "the node that had the request died: the device may have acted on it or not");
		break;
	default:
		go_to(t, STEP_DONE);
		break;
	}
}

static int begin(struct ticket *t)
{
	struct streams *s = t->streams;
	struct redis_command *c = script(s, REDIS_TICKET_BEGIN, &t->at, on_begun, t);
	char holder[96];

	if (!c)
		return -ENOMEM;
	snprintf(holder, sizeof(holder), "%s/%" PRIu64, s->consumer, t->take);
	redis_command_arg_str(c, holder);
	redis_command_arg_str(c, t->request.repeatable || t->outcome.ack ? "1" : "0");
	redis_command_arg_uint(c, s->config.tickets_ttl_ms + TIMEOUT_MARGIN_MS + s->config.claim_ms * 4);
	redis_command_arg_uint(c, s->config.answers_max);
	redis_command_arg_uint(c, s->config.answers_ttl_ms);
	return redis_command_send(c);
}

static void on_replied(void *arg, const struct http_reply *reply)
{
	struct ticket *t = arg;

	t->under_way = false;
	if (t->streams->stopping) {
		ticket_free(t);
		return;
	}
	if (outcome_is_queued(reply, t->queued_id, &t->queued_until_ms)) {
		go_to(t, STEP_QUEUE);
		return;
	}
	outcome_of_reply(&t->outcome, reply);
	go_to(t, STEP_END);
}

static void run(struct ticket *t)
{
	const struct http_submission submission = {.method = t->request.method,
						   .target = t->request.target,
						   .type = t->request.type ? span_str(t->request.type)
									   : span_of(NULL, 0),
						   .body = t->request.body,
						   .token = t->token,
						   .needs_token = t->streams->config.needs_token,
						   .repeatable = t->request.repeatable};

	t->began_ms = uv_now(t->streams->loop);
	http_submit(t->streams->http, &submission, on_replied, t);
}

static void on_queued(void *ctx, int err, const struct redisReply *reply)
{
	(void)reply;
	if (step_worked(ctx, err))
		go_to(ctx, STEP_TELL);
}

static void on_told(void *ctx, int err, const struct redisReply *reply)
{
	(void)reply;
	if (step_worked(ctx, err))
		go_to(ctx, STEP_DONE);
}

/* What stands in front of the fields of ticket_tell.lua. */
static struct redis_command *tell(struct ticket *t, const char *word, redis_command_fn *done, void *ctx)
{
	const struct streams_config *config = &t->streams->config;
	uint64_t now = store_now_ms(t->streams->store);
	struct redis_command *c = script(t->streams, REDIS_TICKET_TELL, &t->at, done, ctx);

	if (!c)
		return NULL;
	redis_command_arg_str(c, word);
	redis_command_arg_uint(c, config->answers_max);
	redis_command_arg_uint(c, config->answers_ttl_ms);
	redis_command_arg_uint(c, config->tickets_ttl_ms + waiting_margin_ms +
					  (t->queued_until_ms > now ? t->queued_until_ms - now : 0));
	return c;
}

static int tell_queued(struct ticket *t)
{
	struct redis_command *c = tell(t, "queued", on_told, t);

	if (!c)
		return -ENOMEM;
	redis_command_arg_str(c, "requestId");
	redis_command_arg_str(c, t->queued_id);
	redis_command_arg_str(c, "expires");
	redis_command_arg_uint(c, t->queued_until_ms);
	return redis_command_send(c);
}

static void on_ended(void *ctx, int err, const struct redisReply *reply)
{
	(void)reply;
	if (step_worked(ctx, err))
		go_to(ctx, STEP_DONE);
}

static void on_done(void *ctx, int err, const struct redisReply *reply)
{
	struct ticket *t = ctx;

	(void)reply;
	/* If the stream is no stream any more there is nothing to take it out of. */
	if (err != -EBADMSG && err != -EACCES && !step_worked(t, err))
		return;
	inbox_pump(t->streams);
	ticket_free(t);
}

static int done(struct ticket *t)
{
	struct streams *s = t->streams;
	struct redis_command *c = redis_command_script(s->store, REDIS_INBOX_DONE, 1, on_done, t);
	struct redis_key k;

	if (!c)
		return -ENOMEM;
	redis_command_arg(c, streams_key(s, &k, "requests"));
	redis_command_arg_str(c, STREAMS_GROUP);
	redis_command_arg(c, t->at.entry);
	return redis_command_send(c);
}

static int send_step(struct ticket *t)
{
	switch (t->step) {
	case STEP_BEGIN:
		return begin(t);
	case STEP_RUN:
		run(t);
		return 0;
	case STEP_QUEUE:
		return waiting_send_add(t->streams, span_str(t->queued_id), t->queued_until_ms, &t->at, t->ep,
					on_queued, t);
	case STEP_TELL:
		return tell_queued(t);
	case STEP_END:
		return ticket_send_end(t->streams, &t->at, &t->outcome, on_ended, t);
	case STEP_DONE:
		break;
	}
	return done(t);
}

static void run_step(struct ticket *t)
{
	enum step step = t->step;
	int err;

	t->under_way = true;
	err = send_step(t);
	/* A call that came back at once has gone on, or is gone. */
	if (err < 0 && step != STEP_RUN)
		(void)step_worked(t, err);
}

/* ---- reading a request ---- */

/* Fields of an entry. */
struct fields {
	struct span ticket, ep, req, reply, token, timeout, ttl;
};

static void read_fields(const struct redisReply *list, struct fields *f)
{
	const struct {
		const char *name;
		struct span *at;
	} known[] = {{"ticket", &f->ticket}, {"ep", &f->ep},	       {"req", &f->req}, {"reply", &f->reply},
		     {"token", &f->token},   {"timeout", &f->timeout}, {"ttl", &f->ttl}};

	for (size_t i = 0; list->type == REDIS_REPLY_ARRAY && i + 1 < list->elements; i += 2) {
		const struct redisReply *name = list->element[i], *value = list->element[i + 1];

		for (size_t k = 0; k < ARRAY_SIZE(known); k++) {
			if (name->type == REDIS_REPLY_STRING && value->type == REDIS_REPLY_STRING &&
			    span_is(span_of(name->str, (size_t)name->len), known[k].name))
				*known[k].at = span_of(value->str, (size_t)value->len);
		}
	}
}

/* How long ago it was sent, by the id that Redis gave it. */
static uint64_t age_ms(const struct streams *s, struct span entry)
{
	uint64_t now = store_now_ms(s->store), sent;
	const uint8_t *dash = memchr(entry.data, '-', entry.len);

	if (!dash || !span_to_uint(span_of(entry.data, (size_t)(dash - entry.data)), UINT64_MAX, &sent) ||
	    sent > now)
		return 0;
	return now - sent;
}

static void refuse(struct ticket *t, unsigned status, const char *error, const char *words)
{
	if (!t->outcome.ack)
		outcome_error(&t->outcome, "refused", status, error, span_str(words));
}

/* Where it is answered; what is wrong with the ticket itself is answered too, on the stream for those. */
static bool read_place(struct ticket *t, const struct fields *f)
{
	struct redis_key k;
	uint8_t key[KEY_MAX];

	t->at.name = f->ticket.len <= TICKET_MAX ? arena_dup(&t->arena, f->ticket) : span_of(NULL, 0);
	t->at.reply = arena_dup(&t->arena, f->reply.len && f->reply.len <= REPLY_MAX
						   ? f->reply
						   : streams_key(t->streams, &k, "replies"));
	if (f->ticket.len == 0 || f->ticket.len > TICKET_MAX)
		refuse(t, 400, "invalid", "ticket is missing, or longer than 128 bytes");
	if (f->reply.len > REPLY_MAX || !ticket_key(t->streams, &t->at, key).len) {
		refuse(t, 400, "invalid", "reply cannot be the name of a stream of answers");
		t->at.reply = arena_dup(&t->arena, streams_key(t->streams, &k, "replies"));
	}
	return t->at.reply.data != NULL;
}

/* A missing number is 0. */
static void read_number(struct ticket *t, const char *words, struct span text, uint64_t max, uint64_t *out)
{
	*out = 0;
	if (text.len && !span_to_uint(text, max, out))
		refuse(t, 400, "invalid", words);
}

static void read_request(struct ticket *t, const struct fields *f)
{
	struct backend_ask ask = {.has_ttl = f->ttl.len > 0};
	char error[BACKEND_ERROR] = "";
	uint64_t age_s = age_ms(t->streams, t->at.entry) / 1000;
	int err;

	t->ep = ask.ep = arena_dup(&t->arena, f->ep);
	t->token = arena_dup(&t->arena, f->token);
	if (f->ep.len > STORE_ENDPOINT_MAX)
		refuse(t, 400, "invalid", "ep is longer than 255 bytes");
	read_number(t, "timeout has to be a number of seconds, at most 600", f->timeout,
		    BACKEND_TIMEOUT_MAX_S, &ask.timeout_s);
	read_number(t, "ttl has to be a number of seconds", f->ttl, UINT32_MAX, &ask.ttl_s);
	/* Who gave it so long does not wait any more. 0 is: not to be queued. */
	if (ask.ttl_s && age_s >= ask.ttl_s)
		refuse(t, 504, "expired", "its time was over before it could be begun");
	ask.ttl_s -= MIN(age_s, ask.ttl_s);
	if (t->outcome.ack)
		return;
	err = backend_request_parse(f->req, &ask, &t->arena, &t->request, error);
	if (err < 0)
		refuse(t, err == -EINVAL ? 400 : 503, err == -EINVAL ? "invalid" : "unavailable",
		       err == -EINVAL ? error : "out of memory");
}

static bool is_in_work(const struct streams *s, struct span entry)
{
	list_for_each (node, &s->tickets) {
		if (span_equal(container_of(node, struct ticket, node)->at.entry, entry))
			return true;
	}
	return false;
}

static struct ticket *ticket_new(struct streams *s, struct span entry)
{
	struct ticket *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->streams = s;
	t->take = ++s->takes;
	arena_init(&t->arena, ARENA_MAX);
	list_append(&s->tickets, &t->node);
	s->ticket_count++;
	t->at.entry = arena_dup(&t->arena, entry);
	if (t->at.entry.data)
		return t;
	ticket_free(t);
	return NULL;
}

void ticket_take(struct streams *s, const struct redisReply *entry, bool too_many)
{
	struct fields fields = {0};
	struct ticket *t;
	struct span id;

	if (entry->type != REDIS_REPLY_ARRAY || entry->elements != 2 ||
	    entry->element[0]->type != REDIS_REPLY_STRING)
		return;
	id = span_of(entry->element[0]->str, (size_t)entry->element[0]->len);
	/* What is dropped here for want of memory stays in the stream. */
	if (is_in_work(s, id) || !(t = ticket_new(s, id)))
		return;
	read_fields(entry->element[1], &fields);
	if (!read_place(t, &fields)) {
		ticket_free(t);
		return;
	}
	if (too_many)
		refuse(t, 503, "unavailable", "too many requests wait: it was not executed");
	read_request(t, &fields);
	run_step(t);
}

/* ---- time ---- */

static void on_accepted(void *ctx, int err, const struct redisReply *reply)
{
	(void)ctx;
	(void)err;
	(void)reply;
}

/* Only a word on the way: what is missing of it the answer says. */
static void tell_accepted(struct ticket *t)
{
	struct redis_command *c = tell(t, "accepted", on_accepted, NULL);

	t->told = true;
	if (c && redis_command_send(c) < 0)
		return;
}

static void on_held(void *ctx, int err, const struct redisReply *reply)
{
	(void)err;
	(void)reply;
	((struct streams *)ctx)->inbox.holding = false;
}

static void hold_all(struct streams *s)
{
	struct redis_command *c;
	struct redis_key k;

	if (s->inbox.holding)
		return;
	c = redis_command_script(s->store, REDIS_INBOX_HOLD, 1, on_held, s);
	if (!c)
		return;
	redis_command_arg(c, streams_key(s, &k, "requests"));
	redis_command_arg_str(c, STREAMS_GROUP);
	redis_command_arg_str(c, s->consumer);
	list_for_each (node, &s->tickets)
		redis_command_arg(c, container_of(node, struct ticket, node)->at.entry);
	s->inbox.holding = redis_command_send(c) == 0;
}

void ticket_tick(struct streams *s, uint64_t now)
{
	list_for_each_safe (node, &s->tickets) {
		struct ticket *t = container_of(node, struct ticket, node);

		if (t->step == STEP_RUN && !t->told && now - t->began_ms >= TICK_MS)
			tell_accepted(t);
		if (!t->under_way && now >= t->retry_ms)
			run_step(t);
	}
	if (now >= s->inbox.hold_ms && s->ticket_count) {
		s->inbox.hold_ms = now + s->config.claim_ms / 4;
		hold_all(s);
	}
}

void ticket_stop(struct streams *s)
{
	list_for_each_safe (node, &s->tickets) {
		struct ticket *t = container_of(node, struct ticket, node);

		if (!t->under_way)
			ticket_free(t);
	}
}
