/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The log of events to any number of streams. The one hard idea: a stream is *live* or *behind*. For all live
 * streams together the log is read once and each event is rendered once; they have everything up to
 * events.position. A stream that resumes from an earlier place, or whose client does not keep up (its queue
 * is full), is behind: it reads the log from its own position, at the pace at which its client takes what was
 * queued, until it has caught up. So a slow client costs bounded memory, holds up nobody, and misses nothing
 * that the log still has; where the log has not, a GAP event says so. A client that takes nothing at all for
 * a while is told where to resume and is cut off.
 *
 * Places are compared by sequence; the time in an id is for logs in which the sequence is not known.
 */

#include "http/events.h"

#include "http/event_json.h"
#include "http/stream.h"

#include <errno.h>
#include <strings.h>

enum {
	READ_EVENTS = 64,	      /* of the log at once */
	RENDER_MAX = 8 * 1024 * 1024, /* text of one event */
	DECODE_MAX = 4 * 1024 * 1024, /* memory while one event is rendered */
	STREAM_BLOCK = 32 * 1024,     /* handed to MHD at once */
};

struct events {
	struct http *http;
	struct list streams;
	struct store_cursor position; /* of the live streams */
	struct log_read *reading;     /* for the live streams */
	struct block *heartbeat;
	struct arena scratch;
	size_t stream_count;
	uint64_t sent, gaps, ended_slow, unreadable;
};

/* A read of the log under way; outlives its stream if it has to, because it cannot be called off. */
struct log_read {
	struct events *events; /* NULL: nobody waits for it any more */
	struct stream *stream; /* NULL: for the live streams */
	struct store_cursor from;
	struct store_cursor end; /* of the log when the read was started */
};

static void live_continue(struct events *e);
static void stream_continue(struct stream *s);

static struct store_cursor later(struct store_cursor a, struct store_cursor b)
{
	return a.sequence > b.sequence ? a : b;
}

static bool any_live(const struct events *e)
{
	list_for_each (node, &e->streams) {
		if (container_of(node, struct stream, node)->live)
			return true;
	}
	return false;
}

/* ---- rendering ---- */

static struct block *gap_block(struct events *e, struct store_cursor from, struct store_cursor to)
{
	struct buffer text = buffer_of(RENDER_MAX);

	e->gaps++;
	event_gap_block(&text, from, to);
	return block_new(&text);
}

/* The event as a block. One that cannot be rendered is told as a gap, so that nothing vanishes in silence. */
static struct block *render(struct events *e, struct store_cursor before, const struct store_event *event)
{
	struct buffer text = buffer_of(RENDER_MAX);
	int r = event_block(&text, lwm2m_registry(e->http->server), event, &e->scratch);

	if (r == 0)
		return block_new(&text);
	buffer_deinit(&text);
	e->unreadable++;
	log_limited(e->http->log, LOG_WARN, 5, "event unreadable", "sequence=%llu type=%u error=\"%s\"",
		    (unsigned long long)event->sequence, event->type, strerror(-r));
	return gap_block(e, before, (struct store_cursor){event->time_ms, event->sequence});
}

static struct block *id_block(struct store_cursor at)
{
	struct buffer text = buffer_of(RENDER_MAX);
	char id[EVENT_ID_TEXT];

	buffer_printf(&text, "id: %s\r\n\r\n", event_id_format(at, id));
	return block_new(&text);
}

/* ---- pushing ---- */

static bool is_for(const struct stream *s, const struct store_event *event)
{
	return event->key.role == STORE_MANAGEMENT &&
	       (!s->filtered || span_equal(s->ep, event->key.endpoint));
}

/* True if it fits; an empty queue takes a block of any size. */
static bool has_room(const struct stream *s, size_t len)
{
	return !s->queued || s->queued + len <= s->events->http->config.event_backlog_max;
}

/* False: no room or no memory; then `position` stays, and the stream has to come back to it. */
static bool push(struct stream *s, struct block *b, struct store_cursor at)
{
	if (!b || !has_room(s, b->text.len) || stream_push(s, b, at) != 0) {
		s->blocked = true;
		return false;
	}
	s->position = s->told = at;
	s->events->sent++;
	return true;
}

static void wake(struct stream *s)
{
	if (s->request && (s->queued || s->finished))
		request_resume(s->request);
}

static void finish(struct stream *s, const char *reason)
{
	struct buffer text = buffer_of(RENDER_MAX);
	struct block *b;

	s->live = false;
	s->finished = true;
	event_resume_block(&text, reason, s->position);
	b = block_new(&text);
	/* Without memory for it the stream just ends; ids already told are enough to resume. */
	if (b && stream_push(s, b, s->position) == 0)
		s->told = s->position;
	block_release(b);
	wake(s);
}

/* ---- reading the log ---- */

static void on_read(void *ctx, const struct store_events *result);

static struct log_read *start_read(struct events *e, struct stream *s, struct store_cursor from)
{
	struct log_read *read = malloc(sizeof(*read));

	if (!read)
		return NULL;
	*read = (struct log_read){e, s, from, store_events_end(e->http->store)};
	if (store_events_read(e->http->store, from, READ_EVENTS, on_read, read) == 0)
		return read;
	free(read);
	return NULL;
}

static void abandon_read(struct log_read *read)
{
	if (read)
		read->events = NULL;
}

/* Where a reader stands when it has taken in all of `result`. */
static struct store_cursor behind(const struct log_read *read, const struct store_events *result)
{
	if (result->count)
		return result->next;
	return later(later(result->next, result->gap ? result->lost_to : read->from), read->end);
}

/* One event for all live streams. It is rendered when the first of them wants it. */
static void live_event(struct events *e, const struct store_event *event)
{
	struct store_cursor at = {event->time_ms, event->sequence};
	struct block *b = NULL;

	list_for_each (node, &e->streams) {
		struct stream *s = container_of(node, struct stream, node);

		if (!s->live || at.sequence <= s->position.sequence)
			continue;
		if (!is_for(s, event)) {
			s->position = at;
			continue;
		}
		if (!b)
			b = render(e, e->position, event);
		if (!push(s, b, at))
			s->live = false;
	}
	block_release(b);
	e->position = at;
}

static void live_gap(struct events *e, const struct log_read *read, struct store_cursor to)
{
	struct block *b = gap_block(e, read->from, to);

	list_for_each (node, &e->streams) {
		struct stream *s = container_of(node, struct stream, node);

		if (s->live && s->position.sequence < to.sequence && !push(s, b, to))
			s->live = false;
	}
	block_release(b);
	e->position = to;
}

static void live_result(struct events *e, const struct log_read *read, const struct store_events *result)
{
	if (read->from.sequence != e->position.sequence)
		return; /* of streams which are gone by now */
	if (result->gap)
		live_gap(e, read, result->lost_to);
	for (size_t i = 0; i < result->count; i++)
		live_event(e, &result->items[i]);
	e->position = behind(read, result);
	list_for_each (node, &e->streams) {
		struct stream *s = container_of(node, struct stream, node);

		if (s->live)
			s->position = later(s->position, e->position);
		wake(s);
	}
}

static void stream_result(struct stream *s, const struct log_read *read, const struct store_events *result)
{
	struct events *e = s->events;

	if (result->gap) {
		struct block *b = gap_block(e, read->from, result->lost_to);
		bool pushed = push(s, b, result->lost_to);

		block_release(b);
		if (!pushed)
			return;
	}
	for (size_t i = 0; i < result->count; i++) {
		const struct store_event *event = &result->items[i];
		struct store_cursor at = {event->time_ms, event->sequence};
		struct block *b = is_for(s, event) ? render(e, s->position, event) : NULL;
		bool pushed = b && push(s, b, at);

		block_release(b);
		if (is_for(s, event) && !pushed)
			return; /* the rest is read again when there is room */
		s->position = at;
	}
	s->position = behind(read, result);
}

static void on_read(void *ctx, const struct store_events *result)
{
	struct log_read *read = ctx;
	struct events *e = read->events;
	struct stream *s = read->stream;

	if (!e) {
		free(read);
		return;
	}
	*(s ? &s->reading : &e->reading) = NULL;
	if (result->result < 0) {
		log_limited(e->http->log, LOG_WARN, 5, "events not read", "error=\"%s\"",
			    strerror(-result->result));
	} else if (s) {
		stream_result(s, read, result);
		wake(s);
		stream_continue(s);
	} else {
		live_result(e, read, result);
		live_continue(e);
	}
	free(read);
}

/* Reads on if there is something new and somebody to read it for. What fails is tried again at the next tick.
 */
static void live_continue(struct events *e)
{
	if (e->reading || !any_live(e) || store_events_end(e->http->store).sequence <= e->position.sequence)
		return;
	e->reading = start_read(e, NULL, e->position);
}

static void go_live(struct stream *s)
{
	struct events *e = s->events;

	if (!any_live(e))
		e->position = s->position;
	s->live = true;
	live_continue(e);
}

/* What a stream that is behind does next: join the live ones, read on, or wait for its client. */
static void stream_continue(struct stream *s)
{
	struct events *e = s->events;
	struct store_cursor end = any_live(e) ? e->position : store_events_end(e->http->store);

	if (s->live || s->finished || s->blocked || !s->request || s->reading)
		return;
	if (s->position.sequence >= end.sequence)
		go_live(s);
	else if (s->queued <= e->http->config.event_backlog_max / 2)
		s->reading = start_read(e, s, s->position);
}

static void on_grown(void *ctx)
{
	struct events *e = ctx;

	live_continue(e);
}

/* ---- streams ---- */

static ssize_t stream_read(void *ctx, uint64_t offset, char *out, size_t max)
{
	struct stream *s = ctx;
	size_t taken;

	(void)offset;
	if (!s->request)
		return MHD_CONTENT_READER_END_WITH_ERROR;
	taken = stream_take(s, out, max);
	if (taken) {
		s->progress_ms = uv_now(s->events->http->loop);
		s->blocked = s->blocked && s->queued;
		stream_continue(s);
		return (ssize_t)taken;
	}
	if (s->finished)
		return MHD_CONTENT_READER_END_OF_STREAM;
	request_suspend(s->request);
	return 0;
}

static void stream_detach(void *ctx)
{
	struct stream *s = ctx;

	if (!s->request)
		return;
	s->request = NULL;
	s->live = false;
	s->events->stream_count--;
	list_remove(&s->node);
	abandon_read(s->reading);
	s->reading = NULL;
}

static void stream_stop(void *ctx, const char *why)
{
	struct stream *s = ctx;

	if (!s->finished)
		finish(s, why);
}

static void stream_free(void *ctx)
{
	struct stream *s = ctx;

	if (s->request)
		s->request->stream = NULL;
	stream_detach(s);
	s->offset = 0;
	stream_drop(s);
	free((void *)s->ep.data);
	free(s);
}

static struct stream *stream_new(struct events *e, struct http_request *r, struct store_cursor from)
{
	const struct target_param *ep = target_find(&r->target, "ep");
	struct stream *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	list_init(&s->queue);
	s->filtered = ep != NULL;
	if (ep)
		s->ep = span_of(span_dup(ep->value), ep->value.len);
	if (ep && !s->ep.data) {
		free(s);
		return NULL;
	}
	s->events = e;
	s->request = r;
	s->position = s->sent = from;
	list_append(&e->streams, &s->node);
	e->stream_count++;
	return s;
}

/* Whether text/event-stream is in the list of an Accept header. */
static bool accepts_events(const char *accept)
{
	static const char type[] = "text/event-stream";

	while (accept) {
		const char *end;

		accept += strspn(accept, " \t,");
		end = accept + strcspn(accept, ",; \t");
		if ((size_t)(end - accept) == sizeof(type) - 1 &&
		    !strncasecmp(accept, type, sizeof(type) - 1))
			return true;
		accept = strchr(accept, ',');
	}
	return false;
}

/* Where the client wants to go on; false: it said so in a way that is no id of ours. */
static bool wanted_position(const struct http_request *r, struct store_cursor *out)
{
	const char *header = request_header(r, "Last-Event-ID");
	const struct target_param *param = target_find(&r->target, "lastEventId");
	struct span text = header ? span_str(header) : param ? param->value : (struct span){0};
	struct store_cursor end = store_events_end(r->http->store);

	*out = end;
	if (!text.len)
		return true;
	if (!event_id_parse(text, out))
		return false;
	/* From another log than the present one: only the time has a meaning here. */
	if (out->sequence > end.sequence)
		out->sequence = 0;
	if (out->sequence == 0 && out->time_ms > end.time_ms)
		*out = end;
	return true;
}

static void start_stream(struct http_request *r, struct store_cursor from)
{
	struct stream *s = stream_new(r->http->events, r, from);

	if (!s) {
		request_busy(r, "Service unavailable: out of memory");
		return;
	}
	r->stream = s;
	r->stream_stop = stream_stop;
	r->stream_detach = stream_detach;
	request_stream(r, "text/event-stream;charset=utf-8", STREAM_BLOCK, true, stream_read, s, stream_free);
	if (!r->response)
		return;
	MHD_add_response_header(r->response, "X-Accel-Buffering", "no");
	stream_continue(s);
}

void api_events(struct http_request *r)
{
	struct http *h = r->http;
	struct store_cursor from;

	if (!accepts_events(request_header(r, MHD_HTTP_HEADER_ACCEPT))) {
		request_text(r, MHD_HTTP_METHOD_NOT_ALLOWED,
			     "Method not allowed: this is a stream of events, for Accept: text/event-stream");
		if (r->response)
			MHD_add_response_header(r->response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	} else if (!wanted_position(r, &from)) {
		request_text(r, MHD_HTTP_BAD_REQUEST,
			     "Invalid request: Last-Event-ID is no event id of this server");
	} else if (r->head) {
		struct buffer empty = buffer_of(0);

		request_reply(r, MHD_HTTP_OK, "text/event-stream;charset=utf-8", &empty);
	} else if (h->events->stream_count >= h->config.streams_max) {
		request_busy(r, "Service unavailable: %u event streams are open", h->config.streams_max);
	} else {
		start_stream(r, from);
	}
}

/* ---- what is about now ---- */

void events_announce(struct events *e, struct buffer *text, struct span ep)
{
	struct block *b = block_new(text);

	list_for_each (node, &e->streams) {
		struct stream *s = container_of(node, struct stream, node);

		/* Whoever is behind has enough to read. */
		if (!b || !s->live || s->finished || s->blocked || !has_room(s, b->text.len) ||
		    (s->filtered && !span_equal(s->ep, ep)) || stream_push(s, b, s->position) != 0)
			continue;
		e->sent++;
		wake(s);
	}
	block_release(b);
}

/* ---- heartbeat ---- */

static void tell_position(struct stream *s)
{
	struct block *b = id_block(s->position);

	if (b && stream_push(s, b, s->position) == 0)
		s->told = s->position;
	block_release(b);
}

/* An empty line; with the position before it if the last id that the client knows is older (a filter skips
 * much). */
static void heartbeat(struct stream *s)
{
	struct events *e = s->events;

	if (s->live && s->told.sequence != s->position.sequence)
		tell_position(s);
	else if (stream_push(s, e->heartbeat, s->position) != 0)
		return;
	wake(s);
}

static bool is_stalled(const struct stream *s)
{
	const struct http *h = s->events->http;

	return uv_now(h->loop) - s->progress_ms >= h->config.stall_ms;
}

/* What is queued is thrown away, so that the position is one that the client has reached. */
static void end_slow(struct stream *s)
{
	abandon_read(s->reading);
	s->reading = NULL;
	stream_drop(s);
	s->position = s->sent;
	s->events->ended_slow++;
	finish(s, "slow");
}

void events_tick(struct events *e)
{
	list_for_each (node, &e->streams) {
		struct stream *s = container_of(node, struct stream, node);

		if (s->finished)
			continue;
		if (list_empty(&s->queue))
			heartbeat(s);
		else if (is_stalled(s))
			end_slow(s);
		s->blocked = false;
		stream_continue(s);
	}
	live_continue(e);
}

/* ---- life ---- */

struct events *events_new(struct http *h)
{
	struct events *e = calloc(1, sizeof(*e));
	struct buffer line = buffer_of(2);

	if (!e)
		return NULL;
	buffer_str(&line, "\r\n");
	e->http = h;
	e->heartbeat = block_new(&line);
	list_init(&e->streams);
	arena_init(&e->scratch, DECODE_MAX);
	return e->heartbeat ? e : events_free(e);
}

struct events *events_free(struct events *e)
{
	if (!e)
		return NULL;
	assert(list_empty(&e->streams));
	abandon_read(e->reading);
	block_release(e->heartbeat);
	arena_deinit(&e->scratch);
	free(e);
	return NULL;
}

void events_subscribe(struct events *e)
{
	store_on_events(e->http->store, on_grown, e);
}

void events_unsubscribe(struct events *e)
{
	store_on_events(e->http->store, NULL, NULL);
}

void events_stats(const struct events *e, struct events_stats *out)
{
	*out = (struct events_stats){
		.streams = e->stream_count,
		.sent = e->sent,
		.gaps = e->gaps,
		.ended_slow = e->ended_slow,
		.unreadable = e->unreadable,
	};
	list_for_each (node, &e->streams) {
		if (!container_of(node, struct stream, node)->live)
			out->behind++;
	}
}
