/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Wiring of the DTLS endpoint: its questions become look-ups of the store, its jobs go to the thread pool,
 * and what it has to say goes to the devices. Nothing here decides whether a handshake is good.
 *
 * The thread pool commits the store, too, so that only a few handshakes compute at a time and the others wait
 * here: a storm of certificates must not hold up acknowledgements. Those that follow one another closely wait
 * for company, because to wake a thread, and then the loop, costs as much as a third of what they compute.
 */

#include "daemon/secure.h"

#include "base/clock.h"
#include "daemon/secrets.h"
#include "daemon/sessions.h"
#include "security/certificate.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

enum {
	TOLD_PER_SECOND = 10,
	JOBS_MAX = 2, /* that run: of the pool's four threads */
	HANDSHAKES_PER_JOB = 8,
	JOB_PACE_MS = 10,
	FRESH = 1024, /* first uses of new credentials that are awaited */
	COOKIE_PERIOD_MS = 600000,
	TICKETS_PERIOD_MS = 3600000, /* those that are over are looked for */
	TICKETS_PAUSE_MS = 100,
	TICKETS_AT_ONCE = 256,
	PEM_MAX = 1 << 20,
	TICKET_SEALED_MAX = 8192,
};

/* What one handshake has to compute. */
struct task {
	struct list node;
	struct dtls_job *job;
};

/* Some of them, one after the other in one thread. */
struct job {
	uv_work_t work;
	struct secure *secure;
	bool running;
	struct list tasks;
};

struct secure {
	struct secure_parts parts;
	struct dtls_context *context;
	struct dtls_endpoint *endpoint;
	struct sessions sessions;
	struct lwm2m_server *server;
	struct lwm2m_security layer;
	struct certificate_rules rules;
	struct job jobs[JOBS_MAX];
	struct list tasks; /* that wait */
	size_t task_count;
	uint64_t job_began_ms; /* the last one */
	struct timer job_timer;
	struct timer cookie_timer;
	struct timer ticket_timer;
	uint8_t tickets_after[DTLS_SESSION_ID_MAX]; /* how far the walk over them is */
	size_t tickets_after_len;
	bool tickets_more;
	uint64_t fresh[FRESH]; /* hashes of identities whose first use ends the credential before them */
	struct siphash_key fresh_key;
	bool x509_any;
	struct buffer certificate; /* DER, the end entity's */
	uint64_t told_second;
	unsigned told; /* failures, in that second */
};

static uint64_t now_of(const struct secure *s)
{
	return uv_now(s->parts.loop);
}

/* ---- cookies ---- */

static void on_cookie_period(struct timer *timer, uint64_t now_ms)
{
	struct secure *s = container_of(timer, struct secure, cookie_timer);
	uint64_t wall = clock_wall_ms();
	struct dtls_cookie_keys keys = {.period = wall / COOKIE_PERIOD_MS};

	static_assert((int)VAULT_DERIVED == (int)DTLS_COOKIE_KEY, "a derived secret is a key");
	vault_derive(s->parts.vault, "dtls cookie", keys.period, keys.current);
	vault_derive(s->parts.vault, "dtls cookie", keys.period - 1, keys.previous);
	dtls_endpoint_set_cookie_keys(s->endpoint, &keys);
	explicit_bzero(&keys, sizeof(keys));
	timer_set(s->parts.timers, timer, now_ms + COOKIE_PERIOD_MS - wall % COOKIE_PERIOD_MS,
		  on_cookie_period);
}

/* ---- what becomes of a handshake ---- */

static void host_send(void *ctx, const struct address *to, struct span datagram)
{
	struct secure *s = ctx;

	s->parts.send(s->parts.ctx, to, datagram);
}

static void host_input(void *ctx, const struct address *association, uint64_t number, struct span plaintext)
{
	struct secure *s = ctx;

	lwm2m_server_input_secure(s->server, association, number, plaintext);
}

static uint64_t *fresh_slot(struct secure *s, struct span identity, uint64_t *hash)
{
	*hash = siphash(&s->fresh_key, identity) | 1;
	return &s->fresh[*hash % FRESH];
}

static void host_established(void *ctx, const struct address *association, const struct dtls_claim *claim)
{
	struct secure *s = ctx;
	uint64_t hash, *slot = fresh_slot(s, claim->identity, &hash);

	if (*slot == hash &&
	    credentials_used(s->parts.credentials, claim->endpoint,
			     claim->kind == DTLS_IDENTITY_PSK ? CREDENTIAL_PSK : CREDENTIAL_RAW_KEY,
			     claim->identity, NULL, NULL) == 0)
		*slot = 0;
	lwm2m_server_established(s->server, association, claim->endpoint);
}

static void host_spent(void *ctx, const struct address *association)
{
	lwm2m_server_spent(((struct secure *)ctx)->server, association);
}

static void host_closed(void *ctx, const struct address *association, enum dtls_end why, bool bound)
{
	struct secure *s = ctx;

	(void)why;
	if (bound)
		lwm2m_server_closed(s->server, association);
}

/* A stranger can fail as often as it likes. */
static bool may_tell(struct secure *s)
{
	uint64_t second = now_of(s) / 1000;

	if (second != s->told_second)
		s->told = 0;
	s->told_second = second;
	return s->told++ < TOLD_PER_SECOND;
}

static void note_failure(struct secure *s, const struct failure *failure)
{
	char name[128], address[ADDRESS_TEXT];
	const struct failure_row *row = failures_note(s->parts.failures, failure, clock_wall_ms());

	if (row && may_tell(s))
		s->parts.failed(s->parts.ctx, row);
	log_limited(s->parts.log, LOG_WARN, 60, "auth-failure", "cause=%s %s=%s address=%s detail=\"%s\"",
		    failure->cause, failure_who_name(failure->who),
		    log_quote(failure->name.data, failure->name.len, name, sizeof(name)),
		    address_format(&failure->address, address), failure->words);
}

/* A name that people know: the identity, or what a certificate says. */
static void host_refused(void *ctx, const struct dtls_refusal *r)
{
	struct secure *s = ctx;
	struct certificate_names names = {0};
	struct failure failure = {.who = FAILURE_ADDRESS,
				  .cause = dtls_cause_name(r->failure->cause),
				  .words = r->failure->words,
				  .address = r->peer};

	if (r->kind == DTLS_IDENTITY_PSK) {
		failure.who = FAILURE_IDENTITY;
		failure.name = r->identity;
	} else if (r->kind == DTLS_IDENTITY_X509 &&
		   certificate_endpoints(r->identity, &s->rules, &names) == 0 && names.count > 0) {
		failure.who = FAILURE_IDENTITY;
		failure.name = certificate_name(&names, 0);
	}
	note_failure(s, &failure);
}

static bool host_unknown(void *ctx, const struct address *from, struct span cid, struct span datagram)
{
	struct secure *s = ctx;

	return s->parts.unknown(s->parts.ctx, from, cid, datagram);
}

static uint64_t host_wall(void *ctx)
{
	(void)ctx;
	return clock_wall_ms();
}

/* ---- jobs ---- */

static void job_run(uv_work_t *work)
{
	struct job *j = container_of(work, struct job, work);

	list_for_each (node, &j->tasks)
		dtls_job_run(container_of(node, struct task, node)->job);
}

static void jobs_start(struct secure *s);

static void job_done(uv_work_t *work, int status)
{
	struct job *j = container_of(work, struct job, work);
	struct secure *s = j->secure;

	assert(status == 0); /* nobody cancels it */
	for (struct list *node; (node = list_take_first(&j->tasks));) {
		struct task *t = container_of(node, struct task, node);

		dtls_job_done(t->job, now_of(s));
		free(t);
	}
	j->running = false;
	jobs_start(s);
}

static void job_start(struct secure *s, struct job *j)
{
	int err;

	for (int i = 0; i < HANDSHAKES_PER_JOB && s->task_count > 0; i++, s->task_count--)
		list_append(&j->tasks, list_take_first(&s->tasks));
	j->running = true;
	s->job_began_ms = now_of(s);
	err = uv_queue_work(s->parts.loop, &j->work, job_run, job_done);
	assert(err == 0);
}

static void on_job_timer(struct timer *timer, uint64_t now_ms)
{
	(void)now_ms;
	jobs_start(container_of(timer, struct secure, job_timer));
}

static void jobs_start(struct secure *s)
{
	uint64_t next = s->job_began_ms + JOB_PACE_MS;

	for (size_t i = 0; i < JOBS_MAX && s->task_count > 0; i++) {
		if (s->jobs[i].running)
			continue;
		if (s->task_count < HANDSHAKES_PER_JOB && now_of(s) < next) {
			timer_set(s->parts.timers, &s->job_timer, next, on_job_timer);
			return;
		}
		job_start(s, &s->jobs[i]);
	}
}

static void tasks_drop(struct secure *s)
{
	for (struct list *node; (node = list_take_first(&s->tasks));) {
		struct task *t = container_of(node, struct task, node);

		dtls_job_drop(t->job);
		free(t);
	}
}

static void host_run(void *ctx, struct dtls_job *job)
{
	struct secure *s = ctx;
	struct task *t = calloc(1, sizeof(*t));

	if (!t) { /* late is better than never */
		dtls_job_run(job);
		dtls_job_done(job, now_of(s));
		return;
	}
	t->job = job;
	list_append(&s->tasks, &t->node);
	s->task_count++;
	jobs_start(s);
}

/* ---- questions ---- */

/* What is looked up by bytes that the client said: a PSK identity, a raw public key, a session id. */
struct question {
	struct secure *secure;
	uint64_t ticket;
	size_t len;
	uint8_t said[];
};

static struct question *question_new(struct secure *s, uint64_t ticket, struct span said)
{
	struct question *q = malloc(sizeof(*q) + said.len);

	if (!q)
		return NULL;
	*q = (struct question){.secure = s, .ticket = ticket, .len = said.len};
	if (said.len)
		memcpy(q->said, said.data, said.len);
	return q;
}

static void question_failed(struct secure *s, uint64_t ticket, struct question *q)
{
	dtls_endpoint_unanswered(s->endpoint, ticket);
	free(q);
}

/* Whether there is such a credential; remembers if its first use is awaited. */
static bool is_known(const struct question *q, const struct credential_found *found)
{
	uint64_t hash, *slot = fresh_slot(q->secure, span_of(q->said, q->len), &hash);

	if (found->result != CREDENTIALS_DONE)
		return false;
	if (found->fresh)
		*slot = hash;
	return true;
}

/* What cannot be looked up now is not unknown. */
static void psk_found(void *ctx, const struct credential_found *found)
{
	struct question *q = ctx;
	struct secure *s = q->secure;

	if (is_known(q, found))
		dtls_endpoint_psk(s->endpoint, q->ticket, found->key, found->endpoint, now_of(s));
	else if (found->result == CREDENTIALS_ABSENT)
		dtls_endpoint_psk(s->endpoint, q->ticket, span_of(NULL, 0), span_of(NULL, 0), now_of(s));
	else
		dtls_endpoint_unanswered(s->endpoint, q->ticket);
	free(q);
}

static void host_find_psk(void *ctx, uint64_t ticket, struct span identity)
{
	struct secure *s = ctx;
	struct question *q = question_new(s, ticket, identity);

	if (!q || credentials_find_psk(s->parts.credentials, identity, psk_found, q) < 0)
		question_failed(s, ticket, q);
}

static void key_found(void *ctx, const struct credential_found *found)
{
	struct question *q = ctx;
	struct secure *s = q->secure;

	if (is_known(q, found))
		dtls_endpoint_peer(s->endpoint, q->ticket, true, true, found->endpoint, now_of(s));
	else if (found->result == CREDENTIALS_ABSENT)
		dtls_endpoint_peer(s->endpoint, q->ticket, false, false, span_of(NULL, 0), now_of(s));
	else
		dtls_endpoint_unanswered(s->endpoint, q->ticket);
	free(q);
}

static void find_key(struct secure *s, uint64_t ticket, struct span spki)
{
	struct question *q = question_new(s, ticket, spki);

	if (!q || credentials_find_key(s->parts.credentials, spki, key_found, q) < 0)
		question_failed(s, ticket, q);
}

/* The names of a certificate, one after the other. */
struct naming {
	struct secure *secure;
	uint64_t ticket;
	size_t tried;
	struct certificate_names names;
};

/* Says whose certificate it is, or by which name it was refused. */
static void naming_end(struct naming *n, bool accepted, size_t index)
{
	struct secure *s = n->secure;

	dtls_endpoint_peer(s->endpoint, n->ticket, accepted, false,
			   index < n->names.count ? certificate_name(&n->names, index) : span_of(NULL, 0),
			   now_of(s));
	free(n);
}

static void naming_failed(struct naming *n)
{
	dtls_endpoint_unanswered(n->secure->endpoint, n->ticket);
	free(n);
}

static credentials_modes modes_found;

/* The first name that is an endpoint with X.509 as its credential. */
static void try_next_name(struct naming *n)
{
	struct secure *s = n->secure;

	if (s->x509_any && n->names.count > 0)
		naming_end(n, true, 0);
	else if (n->tried == n->names.count)
		naming_end(n, false, 0);
	else if (credentials_find_endpoint(s->parts.credentials, certificate_name(&n->names, n->tried++),
					   modes_found, n) < 0)
		naming_failed(n);
}

static void modes_found(void *ctx, int result, unsigned modes, const struct credential_list *list)
{
	struct naming *n = ctx;

	(void)list;
	if (result < 0)
		naming_failed(n);
	else if (result == CREDENTIALS_DONE && modes & CREDENTIAL_X509)
		naming_end(n, true, n->tried - 1);
	else
		try_next_name(n);
}

static void host_find_peer(void *ctx, uint64_t ticket, const struct span *chain, size_t count, bool raw_key)
{
	struct secure *s = ctx;
	struct naming *n;

	if (count == 0) {
		dtls_endpoint_peer(s->endpoint, ticket, false, false, span_of(NULL, 0), now_of(s));
		return;
	}
	if (raw_key) {
		find_key(s, ticket, chain[0]);
		return;
	}
	n = calloc(1, sizeof(*n));
	if (!n) {
		dtls_endpoint_unanswered(s->endpoint, ticket);
		return;
	}
	n->secure = s;
	n->ticket = ticket;
	if (certificate_endpoints(chain[0], &s->rules, &n->names) < 0)
		n->names.count = 0;
	try_next_name(n);
}

/* ---- sessions that can be resumed: documents, sealed, with a time to live in front ---- */

static struct vault_place ticket_place(struct span session_id)
{
	return (struct vault_place){VAULT_RESUMPTION, STORE_MANAGEMENT, session_id};
}

static void ticket_found(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct question *q = ctx;
	struct secure *s = q->secure;
	struct reader r = reader_of(body);
	struct vault_place place = ticket_place(name);
	uint8_t bytes[TICKET_SEALED_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	bool alive = result == STORE_DONE && reader_u64(&r) > clock_wall_ms();

	(void)version;
	if (!alive || vault_open(s->parts.vault, &place, reader_rest(&r), &w) < 0)
		w.pos = w.start;
	dtls_endpoint_ticket(s->endpoint, q->ticket, writer_span(&w), now_of(s));
	explicit_bzero(bytes, sizeof(bytes));
	free(q);
}

static void host_find_ticket(void *ctx, uint64_t ticket, struct span session_id)
{
	struct secure *s = ctx;
	struct question *q = question_new(s, ticket, session_id);

	/* What is not known is not resumed. */
	if (!q || store_document_get(s->parts.store, STORE_RESUMPTION, session_id, ticket_found, q) < 0) {
		dtls_endpoint_ticket(s->endpoint, ticket, span_of(NULL, 0), now_of(s));
		free(q);
	}
}

static void ticket_kept(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	(void)ctx;
	(void)result;
	(void)name;
	(void)body;
	(void)version;
}

static void host_keep_ticket(void *ctx, struct span session_id, struct span resumption)
{
	struct secure *s = ctx;
	struct vault_place place = ticket_place(session_id);
	uint8_t bytes[TICKET_SEALED_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));

	writer_u64(&w, clock_wall_ms() + s->parts.settings->dtls_resumption_ms);
	vault_seal(s->parts.vault, &place, resumption, &w);
	/* Without it the next handshake is a full one. */
	if (!w.failed && store_document_put(s->parts.store, STORE_RESUMPTION, session_id, writer_span(&w),
					    UINT64_MAX, ticket_kept, NULL) < 0)
		return;
}

static void on_ticket_walk(struct timer *timer, uint64_t now_ms);

static void ticket_seen(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct secure *s = ctx;
	struct reader r = reader_of(body);

	(void)version;
	if (result != STORE_DONE) { /* the end of this part */
		if (!s->tickets_more)
			s->tickets_after_len = 0;
		timer_set(s->parts.timers, &s->ticket_timer,
			  now_of(s) + (uint64_t)(s->tickets_more ? TICKETS_PAUSE_MS : TICKETS_PERIOD_MS),
			  on_ticket_walk);
		return;
	}
	s->tickets_more = true;
	s->tickets_after_len = MIN(name.len, sizeof(s->tickets_after));
	memcpy(s->tickets_after, name.data, s->tickets_after_len);
	if (reader_u64(&r) <= clock_wall_ms() &&
	    store_document_delete(s->parts.store, STORE_RESUMPTION, name, ticket_kept, NULL) < 0)
		return; /* next time */
}

/* Some of them at a time, so that nothing waits. */
static void on_ticket_walk(struct timer *timer, uint64_t now_ms)
{
	struct secure *s = container_of(timer, struct secure, ticket_timer);

	s->tickets_more = false;
	if (store_document_list(s->parts.store, STORE_RESUMPTION,
				span_of(s->tickets_after, s->tickets_after_len), TICKETS_AT_ONCE, ticket_seen,
				s) < 0)
		timer_set(s->parts.timers, timer, now_ms + TICKETS_PERIOD_MS, on_ticket_walk);
}

/* ---- what the management server needs ---- */

struct guard {
	lwm2m_guard_fn *done;
	void *arg;
};

static void guard_found(void *ctx, int result, unsigned modes, const struct credential_list *list)
{
	struct guard *g = ctx;

	(void)list;
	g->done(g->arg, result < 0			      ? LWM2M_GUARD_UNKNOWN
			: result == CREDENTIALS_DONE && modes ? LWM2M_GUARDED
							      : LWM2M_UNGUARDED);
	free(g);
}

static bool layer_guard(void *ctx, struct span endpoint, lwm2m_guard_fn *done, void *arg)
{
	struct secure *s = ctx;
	struct guard *g;

	/* Where there are other nodes, they may have made some. */
	if (!s->parts.unknown && !credentials_any(s->parts.credentials))
		return false;
	g = malloc(sizeof(*g));
	if (g)
		*g = (struct guard){done, arg};
	/* Without memory it is as with a store that does not answer. */
	if (!g || credentials_find_endpoint(s->parts.credentials, endpoint, guard_found, g) < 0) {
		free(g);
		done(arg, LWM2M_GUARD_UNKNOWN);
	}
	return true;
}

static bool layer_claim(void *ctx, const struct address *peer, struct span *endpoint)
{
	struct dtls_claim claim;

	if (!dtls_endpoint_claim(((struct secure *)ctx)->endpoint, peer, &claim))
		return false;
	*endpoint = claim.endpoint;
	return true;
}

static bool layer_place(void *ctx, const struct address *peer, struct address *out, uint64_t *session)
{
	const struct secure *s = ctx;
	const struct address *at = dtls_endpoint_peer_address(s->endpoint, peer);

	if (at)
		*out = *at;
	*session = dtls_endpoint_created_ms(s->endpoint, peer);
	return at;
}

static void layer_bind(void *ctx, const struct address *peer)
{
	dtls_endpoint_bind(((struct secure *)ctx)->endpoint, peer);
}

static void layer_unbind(void *ctx, const struct address *peer, struct span endpoint)
{
	dtls_endpoint_unbind(((struct secure *)ctx)->endpoint, peer, endpoint);
}

static void layer_drop(void *ctx, const struct address *peer, bool say)
{
	dtls_endpoint_drop(((struct secure *)ctx)->endpoint, peer, say);
}

static void layer_save(void *ctx, const struct address *peer, struct span endpoint, uint32_t generation,
		       struct buffer *out)
{
	sessions_save(&((struct secure *)ctx)->sessions, peer, endpoint, generation, out);
}

static bool layer_restore(void *ctx, struct span endpoint, struct span sealed, uint32_t generation,
			  uint64_t mark, struct address *peer)
{
	return sessions_restore(&((struct secure *)ctx)->sessions, endpoint, sealed, generation, mark, peer);
}

static void layer_hold(void *ctx, const struct address *peer, bool held)
{
	dtls_endpoint_hold(((struct secure *)ctx)->endpoint, peer, held);
}

static void layer_carry(void *ctx, const struct address *peer, struct span endpoint, struct buffer *out)
{
	sessions_carry(&((struct secure *)ctx)->sessions, peer, endpoint, out);
}

static bool layer_arrive(void *ctx, struct span endpoint, struct span carried, struct address *peer)
{
	return sessions_arrive(&((struct secure *)ctx)->sessions, endpoint, carried, peer);
}

static bool layer_locate(void *ctx, struct span endpoint, struct span sealed, uint8_t cid[LWM2M_CID_MAX],
			 size_t *len, struct address *peer)
{
	return sessions_locate(&((struct secure *)ctx)->sessions, endpoint, sealed, cid, len, peer);
}

static void layer_renew(void *ctx, const struct address *peer)
{
	dtls_endpoint_renew(((struct secure *)ctx)->endpoint, peer);
}

static void layer_mismatch(void *ctx, const struct address *peer, struct span endpoint)
{
	struct secure *s = ctx;
	struct failure failure = {.who = FAILURE_ENDPOINT,
				  .name = endpoint,
				  .cause = "endpoint_mismatch",
				  .words = "registered by the credential of another endpoint"};
	uint64_t session;

	(void)layer_place(s, peer, &failure.address, &session);
	note_failure(s, &failure);
}

const struct lwm2m_security *secure_layer(struct secure *s)
{
	return &s->layer;
}

/* ---- files ---- */

static int complain(struct secure *s, const char *what, const char *path, const char *why, int err)
{
	log_event(s->parts.log, LOG_ERROR, "dtls-unusable", "what=%s path=\"%s\" error=\"%s\"", what, path,
		  why);
	return err;
}

static int read_pem(struct secure *s, const char *what, const char *path, struct buffer *out)
{
	int err = path ? secret_read(path, out) : 0;

	return err < 0 ? complain(s, what, path, strerror(-err), err) : 0;
}

/* A key of our own, for raw public keys. */
static int generate_key(struct buffer *pem)
{
	gnutls_x509_privkey_t key;
	gnutls_datum_t text;
	int rc = gnutls_x509_privkey_init(&key);

	if (rc < 0)
		return -ENOMEM;
	rc = gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					  GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (rc == 0)
		rc = gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &text);
	if (rc == 0) {
		buffer_bytes(pem, span_of(text.data, text.size));
		explicit_bzero(text.data, text.size);
		gnutls_free(text.data);
	}
	gnutls_x509_privkey_deinit(key);
	return rc == 0 && !pem->failed ? 0 : -EIO;
}

/* The key from its file; one that nobody named is made at the first start. */
static int own_key(struct secure *s, struct buffer *pem)
{
	char path[PATH_MAX];
	int err;

	if (s->parts.settings->dtls_key)
		return read_pem(s, "key", s->parts.settings->dtls_key, pem);
	if (!secret_path(s->parts.settings, "server-key.pem", path, sizeof(path)))
		return 0;
	if (access(path, F_OK) == 0)
		return read_pem(s, "key", path, pem);
	err = generate_key(pem);
	if (err == 0)
		err = secret_write(path, buffer_span(pem));
	if (err < 0)
		return complain(s, "key", path, strerror(-err), err);
	log_event(s->parts.log, LOG_INFO, "key-made",
		  "path=\"%s\" hint=\"clients with raw public keys need its public key: GET "
		  "/api/security/server\"",
		  path);
	return 0;
}

/* The first certificate of a chain. The context has read it, so it is one. */
static void keep_certificate(struct secure *s, struct span chain)
{
	gnutls_datum_t pem = {(unsigned char *)chain.data, (unsigned)chain.len}, der;

	if (!chain.len || gnutls_pem_base64_decode2("CERTIFICATE", &pem, &der) < 0)
		return;
	buffer_bytes(&s->certificate, span_of(der.data, der.size));
	gnutls_free(der.data);
}

static int make_context(struct secure *s)
{
	const struct daemon_settings *set = s->parts.settings;
	_cleanup_buffer_ struct buffer key = buffer_of(PEM_MAX), chain = buffer_of(PEM_MAX),
				       trust = buffer_of(PEM_MAX);
	struct dtls_context_options options = {
		.role = DTLS_SERVER,
		.credentials = DTLS_WITH_PSK,
		.ask = DTLS_ASK_REQUIRED,
		.connection_ids = set->dtls_connection_ids,
		.resumption = set->dtls_resumption_ms > 0,
		.hide_identities = set->dtls_hide_identities,
		.mtu = (uint16_t)set->dtls_mtu,
		.retransmit_ms = (uint32_t)set->dtls_retransmit_ms,
	};
	char words[DTLS_WORDS];
	int err = own_key(s, &key);

	if (err == 0)
		err = read_pem(s, "certificate", set->dtls_certificate, &chain);
	if (err == 0)
		err = read_pem(s, "trust", set->dtls_trust, &trust);
	if (err < 0)
		return err;
	if (key.len > 0)
		options.credentials |= DTLS_WITH_RAW_KEY;
	if (chain.len > 0 && trust.len > 0)
		options.credentials |= DTLS_WITH_X509;
	else if (set->dtls_certificate || set->dtls_trust)
		return complain(s, "certificate",
				set->dtls_certificate ? set->dtls_certificate : set->dtls_trust,
				"X.509 needs [dtls] certificate, key and trust", -EINVAL);
	options.key = buffer_span(&key);
	options.chain = buffer_span(&chain);
	options.trust = buffer_span(&trust);
	err = dtls_context_new(&options, &s->context, words);
	if (err == 0)
		keep_certificate(s, buffer_span(&chain));
	if (key.len)
		explicit_bzero(key.data, key.len);
	return err < 0 ? complain(s, "context", set->dtls_key ? set->dtls_key : "", words, err) : 0;
}

/* ---- life ---- */

static int make_endpoint(struct secure *s)
{
	const struct daemon_settings *set = s->parts.settings;
	const struct dtls_host host = {s,
				       host_send,
				       host_input,
				       host_established,
				       host_closed,
				       host_find_psk,
				       host_find_peer,
				       host_find_ticket,
				       host_keep_ticket,
				       host_run,
				       host_refused,
				       host_wall,
				       s->parts.unknown ? host_unknown : NULL,
				       host_spent};
	struct dtls_endpoint_config config;

	dtls_endpoint_config_init(&config);
	config.associations_max = set->devices_max + set->dtls_unbound_max;
	config.unbound_max = set->dtls_unbound_max;
	config.handshakes_max = set->dtls_handshakes_max;
	config.age_ms = set->dtls_age_ms;
	config.idle_ms = set->dtls_idle_ms;
	config.since_ms = set->dtls_since_s * 1000;
	config.hellos_per_s = (uint32_t)set->dtls_hellos_per_s;
	config.hellos_max_per_s = (uint32_t)set->dtls_hellos_max_per_s;
	config.connection_ids = set->dtls_connection_ids;
	random_fill(s->parts.random, &config.hash_key, sizeof(config.hash_key));
	s->endpoint = dtls_endpoint_new(&config, &host, s->context, s->parts.timers, s->parts.random);
	s->sessions = (struct sessions){s->endpoint, s->parts.vault, s->parts.log};
	return s->endpoint ? 0 : -ENOMEM;
}

static int prepare(struct secure *s)
{
	char words[MAX(DTLS_WORDS, CERTIFICATE_WORDS)];
	int err = certificate_rules_parse(s->parts.settings->dtls_x509_endpoint, &s->rules, words);

	if (err < 0) {
		fprintf(stderr, "shoald: [dtls] x509-endpoint: %s\n", words);
		return err;
	}
	err = dtls_selftest(words);
	if (err < 0) {
		log_event(s->parts.log, LOG_ERROR, "dtls-unusable",
			  "what=gnutls error=\"%s\" hint=\"libgnutls 3.7.9 of Debian 12 is known to work; "
			  "[dtls] listen = "
			  "none does without DTLS\"",
			  words);
		return err;
	}
	err = make_context(s);
	return err < 0 ? err : make_endpoint(s);
}

int secure_new(const struct secure_parts *parts, struct secure **out)
{
	struct secure *s = calloc(1, sizeof(*s));
	int err;

	if (!s)
		return -ENOMEM;
	s->parts = *parts;
	s->x509_any = parts->settings->dtls_x509_any;
	s->layer = (struct lwm2m_security){.ctx = s,
					   .guard = layer_guard,
					   .claim = layer_claim,
					   .place = layer_place,
					   .bind = layer_bind,
					   .unbind = layer_unbind,
					   .drop = layer_drop,
					   .save = layer_save,
					   .restore = layer_restore,
					   .mismatch = layer_mismatch,
					   .renew = layer_renew,
					   .hold = layer_hold,
					   .carry = layer_carry,
					   .arrive = layer_arrive,
					   .locate = layer_locate};
	s->certificate = buffer_of(PEM_MAX);
	list_init(&s->tasks);
	for (size_t i = 0; i < JOBS_MAX; i++) {
		s->jobs[i].secure = s;
		list_init(&s->jobs[i].tasks);
	}
	random_fill(parts->random, &s->fresh_key, sizeof(s->fresh_key));
	err = prepare(s);
	if (err < 0) {
		secure_free(s);
		return err;
	}
	on_cookie_period(&s->cookie_timer, now_of(s));
	timer_set(parts->timers, &s->ticket_timer, now_of(s) + TICKETS_PERIOD_MS, on_ticket_walk);
	*out = s;
	return 0;
}

struct secure *secure_free(struct secure *s)
{
	if (!s)
		return NULL;
	timer_cancel(s->parts.timers, &s->job_timer);
	timer_cancel(s->parts.timers, &s->cookie_timer);
	timer_cancel(s->parts.timers, &s->ticket_timer);
	tasks_drop(s);
	dtls_endpoint_free(s->endpoint);
	dtls_context_free(s->context);
	buffer_deinit(&s->certificate);
	free(s);
	return NULL;
}

void secure_serve(struct secure *s, struct lwm2m_server *server)
{
	s->server = server;
}

void secure_input(struct secure *s, const struct address *from, struct span datagram)
{
	dtls_endpoint_input(s->endpoint, from, datagram, now_of(s));
}

void secure_input_asked(struct secure *s, const struct address *from, struct span datagram)
{
	dtls_endpoint_input_asked(s->endpoint, from, datagram, now_of(s));
}

bool secure_proves(const struct secure *s, struct span endpoint, struct span sealed, uint32_t generation,
		   uint64_t mark, struct span datagram)
{
	return sessions_prove(&s->sessions, endpoint, sealed, generation, mark, datagram);
}

void secure_send(struct secure *s, const struct address *association, struct span datagram)
{
	(void)dtls_endpoint_send(s->endpoint, association, datagram);
}

void secure_revoke(struct secure *s, struct span endpoint)
{
	dtls_endpoint_revoke(s->endpoint, endpoint);
	lwm2m_server_revoke(s->server, endpoint);
}

bool secure_is_news(const struct secure *s, const struct address *association, struct span datagram)
{
	return dtls_endpoint_is_news(s->endpoint, association, datagram);
}

int secure_set_slots(struct secure *s, const uint16_t *slots, size_t count)
{
	return dtls_endpoint_set_slots(s->endpoint, slots, count);
}

void secure_stats(const struct secure *s, struct dtls_endpoint_stats *out)
{
	dtls_endpoint_stats(s->endpoint, out);
}

struct span secure_certificate(const struct secure *s)
{
	return buffer_span(&s->certificate);
}

struct span secure_public_key(const struct secure *s)
{
	return dtls_context_public_key(s->context);
}
