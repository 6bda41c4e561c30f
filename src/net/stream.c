/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Bytes of a stream. The hard idea is how it ends: libuv calls back for every handle and request even after
 * they were closed, so a stream counts them, and `closed` - with the freeing of all - comes with the last
 * one. Closing is only a state in between, which every callback looks at; that is why an owner may close from
 * anywhere.
 *
 * Writes gather until the loop would sleep (an idle handle runs once before that, and keeps the loop from
 * sleeping if the write came late in the turn), and while the kernel has a write of ours to finish. So there
 * is one system call for a burst of messages, and one buffer with one ceiling.
 *
 * Left out: half-closed streams; an end of the peer is an end.
 */

#include "net/stream_private.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

enum {
	READ_BLOCK = 1 << 16, /* held only while a read is under way */
	PLAIN_BLOCK = 1 << 14,
	KEPT = 1 << 12,		 /* a larger buffer is given back when it is empty */
	HANDSHAKE_MAX = 1 << 16, /* that TLS may have to say besides our bytes, and ... */
	RECORD_SHARE = 1 << 6,	 /* ... for each so many of them one */
	PROBES = 3,
};

/* ---- end ---- */

static void discard(struct net_stream *s)
{
	net_tls_session_deinit(&s->tls);
	free(s->server_name);
	free(s->peer);
	free(s);
}

static void finish(struct net_stream *s)
{
	net_server_forget(s);
	buffer_deinit(&s->plain);
	buffer_deinit(&s->sealed);
	buffer_deinit(&s->leaving);
	if (s->opening && s->opening->found)
		uv_freeaddrinfo(s->opening->found);
	free(s->opening);
	if (s->handlers)
		s->handlers->closed(s->ctx, s->err, s->words);
	discard(s);
}

void net_stream_done(struct net_stream *s)
{
	assert(s->pending);
	if (--s->pending == 0)
		finish(s);
}

void net_stream_closed_handle(uv_handle_t *handle)
{
	net_stream_done(handle->data);
}

static void end(struct net_stream *s)
{
	s->state = NET_CLOSING;
	uv_close((uv_handle_t *)&s->flush, net_stream_closed_handle);
	uv_close((uv_handle_t *)&s->timer, net_stream_closed_handle);
	if (s->has_io && !uv_is_closing(&s->io.handle))
		uv_close(&s->io.handle, net_stream_closed_handle);
	/* Counts until it has called back, cancelled or not. */
	if (s->opening)
		(void)uv_cancel((uv_req_t *)&s->opening->resolve);
}

void net_stream_fail(struct net_stream *s, int err, const char *words)
{
	if (s->state == NET_CLOSING)
		return;
	s->err = err;
	(void)snprintf(s->words, sizeof(s->words), "%s: %s", s->peer, words);
	end(s);
}

void net_stream_fail_uv(struct net_stream *s, int err, const char *what)
{
	char words[NET_TLS_WORDS];

	(void)snprintf(words, sizeof(words), "%s: %s", what, uv_strerror(err));
	net_stream_fail(s, err, words);
}

/* What the kernel takes at once still goes, if it is not in the middle of something else. */
static void send_last(struct net_stream *s)
{
	uv_buf_t buf;

	if (s->writing || s->state != NET_OPEN)
		return;
	if (s->tls.session && net_tls_session_send(&s->tls, buffer_span(&s->plain)) == 0)
		net_tls_session_bye(&s->tls);
	buf = s->tls.session ? uv_buf_init((char *)s->sealed.data, (unsigned)s->sealed.len)
			     : uv_buf_init((char *)s->plain.data, (unsigned)s->plain.len);
	if (buf.len)
		(void)uv_try_write(&s->io.stream, &buf, 1);
}

void net_stream_close(struct net_stream *s)
{
	if (s->state == NET_CLOSING)
		return;
	send_last(s);
	net_stream_fail(s, -ECANCELED, "closed");
}

/* Fails after the peer was told why, as far as TLS has an alert for it. */
static void fail_tls(struct net_stream *s, int err, const char *words)
{
	uv_buf_t buf = uv_buf_init((char *)s->sealed.data, (unsigned)s->sealed.len);

	if (buf.len && !s->writing)
		(void)uv_try_write(&s->io.stream, &buf, 1);
	net_stream_fail(s, err, words);
}

/* ---- writing ---- */

static void flush(struct net_stream *s);

static void on_written(uv_write_t *req, int status)
{
	struct net_stream *s = req->data;

	s->writing = false;
	if (s->leaving.cap > KEPT)
		buffer_deinit(&s->leaving);
	s->leaving.len = 0;
	if (s->state == NET_CLOSING)
		return;
	if (status < 0) {
		net_stream_fail_uv(s, status, "write");
		return;
	}
	flush(s);
	if (!s->writing && s->state == NET_OPEN && s->handlers->drained)
		s->handlers->drained(s->ctx, s);
}

/* Encrypts what waits. False: it failed. */
static bool seal(struct net_stream *s)
{
	int err = net_tls_session_send(&s->tls, buffer_span(&s->plain));

	if (s->plain.cap > KEPT)
		buffer_deinit(&s->plain);
	s->plain.len = 0;
	if (err < 0)
		net_stream_fail_uv(s, err, "TLS write");
	return err == 0;
}

static void flush(struct net_stream *s)
{
	struct buffer *from = s->tls.session ? &s->sealed : &s->plain, empty = s->leaving;
	uv_buf_t buf;
	int err;

	if (s->writing || (s->tls.session && s->state == NET_OPEN && s->plain.len && !seal(s)))
		return;
	if (from->len == 0 || (s->state != NET_OPEN && !s->tls.session))
		return;
	s->leaving = *from;
	empty.limit = from->limit;
	*from = empty;
	buf = uv_buf_init((char *)s->leaving.data, (unsigned)s->leaving.len);
	s->write.data = s;
	err = uv_write(&s->write, &s->io.stream, &buf, 1, on_written);
	s->writing = err == 0;
	if (err < 0)
		net_stream_fail_uv(s, err, "write");
}

static void on_turn_end(uv_idle_t *idle)
{
	struct net_stream *s = idle->data;

	uv_idle_stop(idle);
	flush(s);
}

static void flush_later(struct net_stream *s)
{
	if (s->state != NET_CLOSING && !s->writing)
		uv_idle_start(&s->flush, on_turn_end);
}

size_t net_stream_buffered(const struct net_stream *s)
{
	return s->plain.len + s->sealed.len + (s->writing ? s->leaving.len : 0);
}

int net_stream_writev(struct net_stream *s, const struct span *parts, size_t count)
{
	size_t total = 0, waiting = net_stream_buffered(s);
	uint8_t *at;

	if (s->state == NET_CLOSING)
		return -EPIPE;
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len > s->buffer_max - total)
			return -ENOBUFS;
		total += parts[i].len;
	}
	if (total == 0)
		return 0;
	if (waiting > s->buffer_max || total > s->buffer_max - waiting)
		return -ENOBUFS;
	at = buffer_extend(&s->plain, total);
	if (!at) {
		s->plain.failed = false;
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++) {
		if (parts[i].len)
			memcpy(at, parts[i].data, parts[i].len);
		at += parts[i].len;
	}
	if (s->state == NET_OPEN)
		flush_later(s);
	return 0;
}

int net_stream_write(struct net_stream *s, struct span data)
{
	return net_stream_writev(s, &data, 1);
}

/* ---- reading ---- */

static void opened(struct net_stream *s)
{
	s->state = NET_OPEN;
	uv_timer_stop(&s->timer);
	if (s->handlers->opened)
		s->handlers->opened(s->ctx, s);
	if (s->plain.len)
		flush_later(s);
}

static void receive_plain(struct net_stream *s, struct span data)
{
	s->handlers->data(s->ctx, s, data);
}

/* One step; false when the input is used up, or the stream is closing. */
static bool step_tls(struct net_stream *s)
{
	uint8_t plain[PLAIN_BLOCK];
	char words[NET_TLS_WORDS];
	size_t got = 0;
	int r;

	if (s->state == NET_OPENING) {
		r = net_tls_session_handshake(&s->tls, words);
		if (r == 0)
			opened(s);
	} else {
		r = net_tls_session_receive(&s->tls, plain, sizeof(plain), &got, words);
		if (r == 0)
			s->handlers->data(s->ctx, s, span_of(plain, got));
	}
	if (r == NET_TLS_ENDED)
		net_stream_fail(s, 0, "closed by the peer");
	else if (r < 0)
		fail_tls(s, r, words);
	return r == 0 && s->state != NET_CLOSING;
}

static void receive_tls(struct net_stream *s, struct span data)
{
	s->tls.in = data;
	while (step_tls(s))
		;
	s->tls.in = span_of(NULL, 0);
	if (s->sealed.len)
		flush_later(s);
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf)
{
	(void)handle;
	(void)hint;
	buf->base = malloc(READ_BLOCK);
	buf->len = buf->base ? READ_BLOCK : 0;
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
	struct net_stream *s = stream->data;
	_cleanup_free_ char *block = buf->base;

	if (s->state == NET_CLOSING || len == 0)
		return;
	if (len == UV_EOF && s->tls.session)
		net_stream_fail(s, -ECONNRESET,
				s->state == NET_OPEN ? "closed by the peer without the end of TLS"
						     : "closed by the peer during the TLS handshake");
	else if (len == UV_EOF)
		net_stream_fail(s, 0, "closed by the peer");
	else if (len < 0)
		net_stream_fail_uv(s, len == UV_ENOBUFS ? -ENOMEM : (int)len, "read");
	else if (s->tls.session)
		receive_tls(s, span_of(block, (size_t)len));
	else
		receive_plain(s, span_of(block, (size_t)len));
}

/* ---- beginning ---- */

static void on_timeout(uv_timer_t *timer)
{
	struct net_stream *s = timer->data;

	net_stream_fail(s, -ETIMEDOUT,
			s->opening && !s->has_io ? "the name is not resolved in time"
			: s->tls.session	 ? "no connection with TLS in time"
						 : "no connection in time");
}

void net_stream_set_timer(struct net_stream *s, uint64_t open_ms)
{
	uv_update_time(s->timer.loop);
	uv_timer_start(&s->timer, on_timeout, open_ms ? open_ms : NET_STREAM_OPEN_MS, 0);
}

static void set_option(int fd, int level, int option, int value)
{
	/* Wishes: without them bytes still flow. */
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

/* A peer that is gone is noticed within dead_ms, both if we send to it and if we only listen. */
static void tune(struct net_stream *s)
{
	int each_s = (int)MAX(s->dead_ms / 1000 / (PROBES + 1), 1);
	uv_os_fd_t fd;

	if (uv_fileno(&s->io.handle, &fd) < 0 || s->io.handle.type != UV_TCP)
		return;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, each_s);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, each_s);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES);
	set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)MIN(s->dead_ms, (uint64_t)INT32_MAX));
}

void net_stream_connected(struct net_stream *s)
{
	int err;

	tune(s);
	err = uv_read_start(&s->io.stream, on_alloc, on_read);
	if (err < 0)
		net_stream_fail_uv(s, err, "read");
	else if (s->tls.session)
		receive_tls(s, span_of(NULL, 0));
	else
		opened(s);
}

int net_stream_new(uv_loop_t *loop, struct net_tls *tls, const char *server_name, char *peer,
		   size_t buffer_max, struct net_stream **out)
{
	struct net_stream *s = peer ? calloc(1, sizeof(*s)) : NULL;
	int err = 0;

	if (!s) {
		free(peer);
		return -ENOMEM;
	}
	s->peer = peer;
	s->buffer_max = buffer_max ? buffer_max : NET_STREAM_BUFFER_MAX;
	s->plain = s->leaving = buffer_of(s->buffer_max);
	s->sealed = buffer_of(s->buffer_max + s->buffer_max / RECORD_SHARE + HANDSHAKE_MAX);
	s->server_name = server_name ? strdup(server_name) : NULL;
	if (server_name && !s->server_name)
		err = -ENOMEM;
	else if (tls)
		err = net_tls_session_init(&s->tls, tls, s->server_name, &s->sealed);
	if (err < 0) {
		discard(s);
		return err;
	}
	uv_idle_init(loop, &s->flush);
	uv_timer_init(loop, &s->timer);
	s->flush.data = s->timer.data = s;
	s->pending = 2;
	*out = s;
	return 0;
}

const char *net_stream_peer(const struct net_stream *s)
{
	return s->peer;
}

struct span net_stream_psk_identity(const struct net_stream *s)
{
	return s->state == NET_OPENING ? span_of(NULL, 0) : span_of(s->tls.identity, s->tls.identity_len);
}
