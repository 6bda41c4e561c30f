/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Following events. The one hard idea: an event is printed once and none is left out, although connections
 * break. The id of the last event that was complete goes with the next connection (Last-Event-ID), and the
 * server goes on behind it.
 *
 * A server sends something every ten seconds; a connection that is silent for longer is dead, whatever TCP
 * thinks. SIGINT and SIGTERM arrive at a descriptor which is waited for together with the connection, so no
 * flag has to be shared with a handler.
 */

#include "cli/follow.h"

#include "base/clock.h"
#include "cli/text.h"

#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { SILENCE_MAX_MS = 35000, PAUSE_FIRST_MS = 1000, PAUSE_MAX_MS = 30000, ERROR_TEXT_MAX = 1000 };

struct session {
	struct cli *c;
	const struct follow *f;
	struct sse sse;
	CURLM *multi;
	CURL *easy;
	int signals;		  /* descriptor */
	uint64_t heard_ms;	  /* when the server last sent something */
	long status;		  /* of the connection at hand; 0: no answer yet */
	bool opened;		  /* some connection was open */
	bool stop;		  /* a signal came */
	bool overflow;		  /* the server sent what no event can be */
	int rc;			  /* of on_open */
	struct buffer error_text; /* body of a refusal */
};

static size_t on_bytes(char *data, size_t size, size_t count, void *ctx)
{
	struct session *s = ctx;
	struct span bytes = span_of(data, size * count);

	s->heard_ms = clock_mono_ms();
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &s->status);
	if (s->status != 200) {
		buffer_bytes(&s->error_text,
			     span_of(data, MIN(bytes.len, ERROR_TEXT_MAX - s->error_text.len)));
		return bytes.len;
	}
	if (!sse_feed(&s->sse, bytes, s->f->on_event, s->f->ctx)) {
		s->overflow = true;
		return 0;
	}
	fflush(s->c->out);
	return bytes.len;
}

static struct curl_slist *request_headers(const struct session *s)
{
	const char *id = s->sse.last_id[0] ? s->sse.last_id : s->f->since;
	struct curl_slist *headers = curl_slist_append(NULL, "Accept: text/event-stream");
	char header[SSE_ID + 32];

	if (id && *id) {
		struct curl_slist *more;

		snprintf(header, sizeof(header), "Last-Event-ID: %s", id);
		more = headers ? curl_slist_append(headers, header) : NULL;
		headers = more ? more : headers;
	}
	return headers;
}

/* Begins a connection. */
static void prepare(struct session *s, struct curl_slist *headers)
{
	curl_easy_reset(s->easy);
	client_prepare(&s->c->client, s->easy, s->f->path);
	curl_easy_setopt(s->easy, CURLOPT_HTTPHEADER, headers);
	curl_easy_setopt(s->easy, CURLOPT_WRITEFUNCTION, on_bytes);
	curl_easy_setopt(s->easy, CURLOPT_WRITEDATA, s);
	s->status = 0;
	s->heard_ms = clock_mono_ms();
	s->error_text.len = 0;
	sse_restart(&s->sse);
}

/* The headers are there, before any event is. */
static void check_open(struct session *s)
{
	if (s->opened || s->rc != EXIT_OK)
		return;
	curl_easy_getinfo(s->easy, CURLINFO_RESPONSE_CODE, &s->status);
	if (s->status != 200)
		return;
	s->opened = true;
	if (s->f->on_open)
		s->rc = s->f->on_open(s->f->ctx);
}

/* Waits for the connection or a signal. */
static void wait_for_either(struct session *s, int timeout_ms)
{
	struct curl_waitfd signal = {.fd = s->signals, .events = CURL_WAIT_POLLIN};

	if (curl_multi_poll(s->multi, &signal, 1, timeout_ms, NULL) != CURLM_OK || signal.revents)
		s->stop = true;
}

/* One connection, to its end. */
static CURLcode run_connection(struct session *s)
{
	CURLcode result = CURLE_OK;
	int running = 1, left;
	CURLMsg *message;

	curl_multi_add_handle(s->multi, s->easy);
	while (running && !s->stop && s->rc == EXIT_OK) {
		curl_multi_perform(s->multi, &running);
		check_open(s);
		if (clock_mono_ms() - s->heard_ms > SILENCE_MAX_MS)
			break;
		if (running && s->rc == EXIT_OK)
			wait_for_either(s, 1000);
	}
	if (running)
		result = CURLE_OPERATION_TIMEDOUT;
	while ((message = curl_multi_info_read(s->multi, &left)))
		if (message->msg == CURLMSG_DONE)
			result = message->data.result;
	curl_multi_remove_handle(s->multi, s->easy);
	return result;
}

static int tell_refusal(struct session *s)
{
	_cleanup_buffer_ struct buffer safe = buffer_of(ERROR_TEXT_MAX * 10);

	text_add_safe(&safe, buffer_span(&s->error_text));
	fprintf(s->c->error, "shoalctl: the server refuses the stream of events with HTTP status %ld%s%s\n",
		s->status, safe.len ? ": " : "", safe.data ? (const char *)safe.data : "");
	return EXIT_REFUSED;
}

/* Whether another attempt makes sense, else what to exit with in s->rc. */
static bool goes_on(struct session *s, CURLcode result)
{
	if (s->stop || s->rc != EXIT_OK)
		return false;
	if (s->overflow) {
		fputs("shoalctl: the server sent an event that is too large\n", s->c->error);
		s->rc = EXIT_REFUSED;
	} else if (s->status >= 400 && s->status != 503) {
		s->rc = tell_refusal(s);
	} else if (!s->opened) {
		client_complain(&s->c->client, result);
		s->rc = EXIT_UNREACHABLE;
	}
	return s->rc == EXIT_OK;
}

static void follow_all(struct session *s)
{
	uint64_t pause_ms = PAUSE_FIRST_MS;

	for (;;) {
		struct curl_slist *headers = request_headers(s);
		CURLcode result;

		prepare(s, headers);
		result = run_connection(s);
		curl_slist_free_all(headers);
		if (!goes_on(s, result))
			return;
		if (s->status == 200)
			pause_ms = PAUSE_FIRST_MS;
		fprintf(s->c->error, "shoalctl: the connection to %s ended; trying again\n",
			s->c->client.url);
		if (poll(&(struct pollfd){.fd = s->signals, .events = POLLIN}, 1, (int)pause_ms) != 0)
			return;
		pause_ms = MIN(pause_ms * 2, (uint64_t)PAUSE_MAX_MS);
	}
}

int follow_run(struct cli *c, const struct follow *f)
{
	struct session s = {.c = c, .f = f, .error_text = buffer_of(ERROR_TEXT_MAX)};
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sse_init(&s.sse);
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	s.multi = curl_multi_init();
	s.easy = curl_easy_init();
	if (s.signals >= 0 && s.multi && s.easy)
		follow_all(&s);
	else
		s.rc = EXIT_REFUSED;
	curl_easy_cleanup(s.easy);
	curl_multi_cleanup(s.multi);
	if (s.signals >= 0)
		close(s.signals);
	sse_deinit(&s.sse);
	buffer_deinit(&s.error_text);
	return s.rc;
}
