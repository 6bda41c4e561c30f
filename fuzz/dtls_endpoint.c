/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Datagrams from four addresses into an endpoint with two associations, one with a connection id and one
 * without, whose keys the target has, and with a device that makes handshakes. The input says what is sealed,
 * forged, repeated, changed and answered. What must hold: what is delivered was sealed by its peer, and comes
 * once; there is no handshake without a cookie that was sent to that address; nothing that does not
 * authenticate moves an address or is answered by more than it has; the bounds of the configuration.
 * The first byte: 1 hellos are limited, 2 jobs wait, 4 the device has no connection id.
 */

#include "dtls_fuzz.h"

#include "dtls/client.h"
#include "dtls/endpoint.h"

enum { LIMITED = 1, THREADS = 2, NO_CID = 4 };
enum {
	OPERATIONS_MAX = 200,
	ADDRESSES = 4,
	PACKETS = 16,
	PACKET = 2048,
	ENTRIES = 256,
	TICKETS = 4,
	JOBS = 4,
	ISSUED = 64
};
enum { HANDSHAKES_MAX = 4, ASSOCIATIONS_MAX = 6, UNBOUND_MAX = 2 };
/* Whose a record is: of the associations that were imported, or of the device. */
enum owner { WITH_CID, WITHOUT_CID, DEVICE, IMPORTED = DEVICE };

static const char key[] = "0123456789abcdef";
static const uint64_t wall_ms = 1700000000000;

static struct dtls_context *server_context, *client_contexts[2];

struct packets {
	unsigned count;
	struct packet {
		size_t len;
		uint8_t bytes[PACKET];
	} of[PACKETS];
};

/* Application data that somebody with the keys has sent. */
struct entry {
	enum owner owner;
	bool delivered;
	uint64_t number; /* of those that were imported */
	size_t len;
	uint8_t content[256];
};

struct question {
	uint64_t ticket;
	enum { FOR_PSK, FOR_PEER, FOR_TICKET } kind;
	bool known; /* a ticket that was kept */
};

struct course {
	struct timers timers;
	struct random random;
	struct dtls_endpoint *endpoint;
	uint64_t now_ms;
	struct address addresses[ADDRESSES];
	bool threads;

	struct dtls_session sessions[IMPORTED]; /* from the peer's side */
	struct address imported[IMPORTED];
	bool gone[IMPORTED];
	bool any_sent[IMPORTED];
	uint64_t top[IMPORTED];
	struct packet last[IMPORTED];

	struct dtls_client *device;
	struct address device_association;
	struct packets to_endpoint, to_device;

	struct entry entries[ENTRIES];
	unsigned entry_count;
	struct question questions[TICKETS];
	unsigned question_count;
	struct dtls_job *jobs[JOBS];
	unsigned job_count;
	struct buffer ticket_id, ticket;
	uint8_t cookies[ADDRESSES][DTLS_COOKIE]; /* that were sent there last */
	bool has_cookie[ADDRESSES];
	uint8_t issued[ADDRESSES][ISSUED]
		      [DTLS_COOKIE]; /* all that were sent there: each is good for its hello */
	unsigned issued_count[ADDRESSES];
	size_t bytes_out;
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_begin(1);
	server_context = fuzz_context(DTLS_SERVER, DTLS_WITH_PSK | DTLS_WITH_RAW_KEY, true);
	for (unsigned cid = 0; cid < 2; cid++)
		client_contexts[cid] = fuzz_context(DTLS_CLIENT, DTLS_WITH_PSK, cid);
	return 0;
}

static void put(struct packets *p, struct span bytes)
{
	if (p->count == PACKETS || bytes.len > PACKET)
		return;
	memcpy(p->of[p->count].bytes, bytes.data, bytes.len);
	p->of[p->count++].len = bytes.len;
}

static void drop(struct packets *p)
{
	if (p->count)
		memmove(&p->of[0], &p->of[1], --p->count * sizeof(p->of[0]));
}

/* ---- the endpoint's host ---- */

static void note_cookie(struct course *c, unsigned to, struct span datagram)
{
	enum { VERIFY = DTLS_HEADER + DTLS_MESSAGE_HEADER + 3 + DTLS_COOKIE };

	if (datagram.len != VERIFY || datagram.data[DTLS_HEADER] != DTLS_HELLO_VERIFY_REQUEST)
		return;
	memcpy(c->cookies[to], datagram.data + VERIFY - DTLS_COOKIE, DTLS_COOKIE);
	c->has_cookie[to] = true;
	if (c->issued_count[to]++ < ISSUED)
		memcpy(c->issued[to][c->issued_count[to] - 1], c->cookies[to], DTLS_COOKIE);
}

static void on_send(void *ctx, const struct address *to, struct span datagram)
{
	struct course *c = ctx;
	unsigned i = 0;

	while (i < ADDRESSES && !address_equal(&c->addresses[i], to))
		i++;
	/* Nobody else has ever sent anything. */
	assert(i < ADDRESSES && datagram.len > 0);
	c->bytes_out += datagram.len;
	note_cookie(c, i, datagram);
	if (i == 0)
		put(&c->to_device, datagram);
}

static enum owner owner_of(const struct course *c, const struct address *association)
{
	for (unsigned i = 0; i < IMPORTED; i++)
		if (address_equal(&c->imported[i], association))
			return (enum owner)i;
	return DEVICE;
}

static void on_input(void *ctx, const struct address *association, uint64_t number, struct span plaintext)
{
	struct course *c = ctx;
	enum owner owner = owner_of(c, association);
	struct entry *found = NULL;

	assert(owner == DEVICE || !c->gone[owner]);
	for (unsigned i = 0; i < c->entry_count; i++) {
		struct entry *e = &c->entries[i];

		if (e->owner != owner || (owner != DEVICE && e->number != number))
			continue;
		assert(owner == DEVICE || !e->delivered);
		if (!e->delivered && span_equal(span_of(e->content, e->len), plaintext))
			found = e;
	}
	assert(found);
	found->delivered = true;
}

static void on_established(void *ctx, const struct address *association, const struct dtls_claim *claim)
{
	struct course *c = ctx;

	assert(claim->kind == DTLS_IDENTITY_PSK && span_is(claim->identity, "id") &&
	       span_is(claim->endpoint, "dev"));
	c->device_association = *association;
}

static void on_closed(void *ctx, const struct address *association, enum dtls_end why, bool bound)
{
	struct course *c = ctx;
	enum owner owner = owner_of(c, association);

	(void)bound;
	assert(why != DTLS_END_DROPPED && !dtls_endpoint_peer_address(c->endpoint, association));
	if (owner != DEVICE) {
		assert(!c->gone[owner]);
		c->gone[owner] = true;
	}
}

static void note_question(struct course *c, struct question q)
{
	if (c->question_count == TICKETS)
		memmove(&c->questions[0], &c->questions[1], --c->question_count * sizeof(q));
	c->questions[c->question_count++] = q;
}

static void on_find_psk(void *ctx, uint64_t ticket, struct span identity)
{
	assert(identity.len <= DTLS_IDENTITY_MAX);
	note_question(ctx, (struct question){.ticket = ticket, .kind = FOR_PSK});
}

static void on_find_peer(void *ctx, uint64_t ticket, const struct span *chain, size_t count, bool raw_key)
{
	assert(count > 0 && count <= DTLS_CHAIN_MAX && chain[0].len && raw_key);
	note_question(ctx, (struct question){.ticket = ticket, .kind = FOR_PEER});
}

static void on_find_ticket(void *ctx, uint64_t ticket, struct span id)
{
	struct course *c = ctx;

	note_question(c, (struct question){.ticket = ticket,
					   .kind = FOR_TICKET,
					   .known = span_equal(id, buffer_span(&c->ticket_id))});
}

static void on_keep_ticket(void *ctx, struct span id, struct span resumption)
{
	struct course *c = ctx;

	c->ticket_id.len = c->ticket.len = 0;
	buffer_bytes(&c->ticket_id, id);
	buffer_bytes(&c->ticket, resumption);
}

static void finish_job(struct course *c, struct dtls_job *job)
{
	dtls_job_run(job);
	dtls_job_done(job, c->now_ms);
}

static void on_run(void *ctx, struct dtls_job *job)
{
	struct course *c = ctx;

	if (c->threads && c->job_count < JOBS)
		c->jobs[c->job_count++] = job;
	else
		finish_job(c, job);
}

static void on_refused(void *ctx, const struct dtls_refusal *refusal)
{
	(void)ctx;
	assert(refusal->failure->cause != DTLS_CAUSE_NONE);
}

static uint64_t wall_of(void *ctx)
{
	return wall_ms + ((struct course *)ctx)->now_ms;
}

/* ---- the device's host ---- */

static void device_send(void *ctx, struct span datagram)
{
	put(&((struct course *)ctx)->to_endpoint, datagram);
}

static void device_input(void *ctx, struct span plaintext)
{
	(void)ctx;
	(void)plaintext;
}

static void device_ready(void *ctx)
{
	(void)ctx;
}

static void device_ended(void *ctx, enum dtls_client_end why)
{
	(void)ctx;
	(void)why;
}

/* ---- datagrams ---- */

static void check_bounds(const struct dtls_endpoint_stats *s)
{
	assert(s->handshakes <= HANDSHAKES_MAX && s->handshakes <= s->verified);
	assert(s->associations <= ASSOCIATIONS_MAX && s->unbound <= UNBOUND_MAX);
}

static bool has_issued_cookie(const struct course *c, unsigned from, struct span datagram)
{
	bool found = c->issued_count[from] > ISSUED; /* more than are remembered */

	for (unsigned i = 0; i < MIN(c->issued_count[from], (unsigned)ISSUED) && !found; i++)
		found = memmem(datagram.data, datagram.len, c->issued[from][i], DTLS_COOKIE) != NULL;
	return found;
}

static void deliver(struct course *c, unsigned from, struct span bytes)
{
	_cleanup_copy_ struct span datagram = fuzz_copy(bytes);
	struct dtls_endpoint_stats before, after;
	struct address at[IMPORTED] = {0};
	bool cookie = has_issued_cookie(c, from, datagram);
	const struct address *peer;

	for (unsigned i = 0; i < IMPORTED; i++)
		if ((peer = dtls_endpoint_peer_address(c->endpoint, &c->imported[i])))
			at[i] = *peer;
	dtls_endpoint_stats(c->endpoint, &before);
	c->bytes_out = 0;
	dtls_endpoint_input(c->endpoint, &c->addresses[from], datagram, c->now_ms);
	dtls_endpoint_stats(c->endpoint, &after);
	check_bounds(&after);
	assert(after.verified == before.verified || cookie);
	if (after.records != before.records)
		return;
	for (unsigned i = 0; i < IMPORTED; i++) {
		peer = dtls_endpoint_peer_address(c->endpoint, &c->imported[i]);
		assert(!peer || address_equal(peer, &at[i]));
	}
	if (before.handshakes == 0 && after.verified == before.verified)
		assert(c->bytes_out <= datagram.len);
}

/* ---- operations ---- */

static void note_entry(struct course *c, enum owner owner, uint64_t number, struct span content)
{
	struct entry *e = &c->entries[c->entry_count++];

	assert(c->entry_count <= ENTRIES && content.len <= sizeof(e->content));
	*e = (struct entry){.owner = owner, .number = number, .len = content.len};
	if (content.len)
		memcpy(e->content, content.data, content.len);
}

/* A record with the true keys, of any number and type. */
static void seal(struct course *c, struct reader *in)
{
	unsigned owner = reader_u8(in) % IMPORTED, from = reader_u8(in) % ADDRESSES;
	uint64_t step = reader_u8(in), number = step < 200 ? c->top[owner] + step : reader_u32(in);
	uint8_t type = reader_u8(in);
	struct span content = fuzz_short(in);
	struct dtls_session *s = &c->sessions[owner];
	struct packet *p = &c->last[owner];
	struct writer w = writer_of(p->bytes, sizeof(p->bytes));
	bool data = type % 2 == 0 || type == DTLS_APPLICATION_DATA,
	     newest = !c->any_sent[owner] || number > c->top[owner];
	const struct address *peer = dtls_endpoint_peer_address(c->endpoint, &c->imported[owner]);
	struct address before = peer ? *peer : (struct address){0};

	type = data ? DTLS_APPLICATION_DATA : type;
	number = MAX(number, 1);
	dtls_seal(&w, (enum dtls_aead)s->aead, &s->write, span_of(s->peer_cid, s->peer_cid_len), DTLS_EPOCH,
		  number, type, content);
	assert(!w.failed);
	p->len = writer_len(&w);
	if (data)
		note_entry(c, (enum owner)owner, number, content);
	c->any_sent[owner] = true;
	c->top[owner] = MAX(c->top[owner], number);
	deliver(c, from, writer_span(&w));
	peer = dtls_endpoint_peer_address(c->endpoint, &c->imported[owner]);
	if (owner == WITH_CID && peer)
		assert(address_equal(peer, newest ? &c->addresses[from] : &before));
	if (owner == WITH_CID && peer && newest && data)
		assert(c->entries[c->entry_count - 1].delivered);
}

static void repeat(struct course *c, struct reader *in)
{
	struct packet *p = &c->last[reader_u8(in) % IMPORTED];
	unsigned from = reader_u8(in) % ADDRESSES;

	if (p->len)
		deliver(c, from, span_of(p->bytes, p->len));
}

/* A byte of a genuine record is another one. */
static void forge(struct course *c, struct reader *in)
{
	struct packet p = c->last[reader_u8(in) % IMPORTED];
	unsigned from = reader_u8(in) % ADDRESSES;
	uint16_t at = reader_u16(in);
	uint8_t by = reader_u8(in);
	struct dtls_endpoint_stats before, after;

	if (!p.len || !by)
		return;
	p.bytes[at % p.len] ^= by;
	dtls_endpoint_stats(c->endpoint, &before);
	deliver(c, from, span_of(p.bytes, p.len));
	dtls_endpoint_stats(c->endpoint, &after);
	assert(after.records == before.records);
}

static void write_message(struct writer *w, uint8_t type, uint8_t seq, struct span body)
{
	writer_u8(w, DTLS_HANDSHAKE);
	writer_u16(w, DTLS_VERSION_1_2);
	writer_u64(w, seq);
	writer_u16(w, (uint16_t)(DTLS_MESSAGE_HEADER + body.len));
	writer_u8(w, type);
	writer_u24(w, (uint32_t)body.len);
	writer_u16(w, seq);
	writer_u24(w, 0);
	writer_u24(w, (uint32_t)body.len);
	writer_bytes(w, body);
	assert(!w->failed);
}

/* Any hello, which comes back with its cookie. */
static void greet(struct course *c, struct reader *in)
{
	unsigned from = reader_u8(in) % ADDRESSES;
	uint8_t random[DTLS_RANDOM];
	struct span session_id = fuzz_short(in), rest = fuzz_short(in);

	memset(random, reader_u8(in), sizeof(random));
	c->has_cookie[from] = false;
	for (uint8_t round = 0; round < 2; round++) {
		uint8_t body[1024], bytes[1200];
		struct writer b = writer_of(body, sizeof(body)), w = writer_of(bytes, sizeof(bytes));

		writer_u16(&b, DTLS_VERSION_1_2);
		writer_bytes(&b, span_of(random, sizeof(random)));
		writer_u8(&b, (uint8_t)session_id.len);
		writer_bytes(&b, session_id);
		writer_u8(&b, round ? DTLS_COOKIE : 0);
		writer_bytes(&b, span_of(c->cookies[from], round ? DTLS_COOKIE : 0));
		writer_bytes(&b, rest);
		write_message(&w, DTLS_CLIENT_HELLO, round, writer_span(&b));
		deliver(c, from, writer_span(&w));
		if (!c->has_cookie[from])
			return;
	}
}

static void say(struct course *c, struct reader *in)
{
	unsigned from = reader_u8(in) % ADDRESSES;
	uint8_t bytes[512], type = reader_u8(in), seq = reader_u8(in);
	struct writer w = writer_of(bytes, sizeof(bytes));

	write_message(&w, type, seq, fuzz_short(in));
	deliver(c, from, writer_span(&w));
}

static void answer(struct course *c, struct reader *in)
{
	uint8_t how = reader_u8(in);
	struct question q;
	bool right = !(how & 128);

	if (!c->question_count)
		return;
	q = c->questions[how % c->question_count];
	switch (q.kind) {
	case FOR_PSK:
		dtls_endpoint_psk(c->endpoint, q.ticket, span_of(key, right ? sizeof(key) - 1 : 0),
				  span_str("dev"), c->now_ms);
		break;
	case FOR_PEER:
		dtls_endpoint_peer(c->endpoint, q.ticket, right, false, span_str("dev"), c->now_ms);
		break;
	case FOR_TICKET:
		dtls_endpoint_ticket(c->endpoint, q.ticket,
				     right && q.known ? buffer_span(&c->ticket) : (struct span){0},
				     c->now_ms);
		break;
	}
}

static void run_job(struct course *c)
{
	struct dtls_job *job;

	if (!c->job_count)
		return;
	job = c->jobs[0];
	memmove(&c->jobs[0], &c->jobs[1], --c->job_count * sizeof(job));
	finish_job(c, job);
}

static void pass_to_endpoint(struct course *c, struct reader *in)
{
	unsigned from = reader_u8(in) % ADDRESSES;

	if (!c->to_endpoint.count)
		return;
	deliver(c, from, span_of(c->to_endpoint.of[0].bytes, c->to_endpoint.of[0].len));
	drop(&c->to_endpoint);
}

static void pass_to_device(struct course *c)
{
	struct packet *p = &c->to_device.of[0];

	if (!c->to_device.count)
		return;
	dtls_client_input(c->device, span_of(p->bytes, p->len), wall_of(c), c->now_ms);
	drop(&c->to_device);
}

static void change(struct course *c, struct reader *in)
{
	struct packet *p = &c->to_endpoint.of[0];
	uint16_t at = reader_u16(in);
	uint8_t by = reader_u8(in);

	if (c->to_endpoint.count)
		p->bytes[at % p->len] ^= by;
}

static void device_speak(struct course *c, struct reader *in)
{
	struct span content = fuzz_short(in);

	/* It is noted first, for its record may arrive before this returns. */
	if (!dtls_client_is_ready(c->device))
		return;
	note_entry(c, DEVICE, 0, content);
	(void)dtls_client_send(c->device, content);
}

/* What the node does with associations. */
static void manage(struct course *c, struct reader *in)
{
	uint8_t how = reader_u8(in);
	unsigned owner = how % (IMPORTED + 1);
	const struct address *a = owner == DEVICE ? &c->device_association : &c->imported[owner];

	switch (how / 16 % 6) {
	case 0:
		(void)dtls_endpoint_send(c->endpoint, a, span_str("content"));
		break;
	case 1:
		dtls_endpoint_bind(c->endpoint, a);
		break;
	case 2:
		dtls_endpoint_unbind(c->endpoint, a, span_str("dev"));
		break;
	case 3:
		dtls_endpoint_drop(c->endpoint, a, how & 128);
		if (owner != DEVICE)
			c->gone[owner] = true;
		break;
	case 4:
		assert(dtls_client_start(c->device, c->now_ms) == 0);
		break;
	default:
		dtls_client_close(c->device, how & 128);
		break;
	}
}

static void pass_time(struct course *c, uint64_t ms)
{
	struct dtls_endpoint_stats s;

	c->now_ms += ms;
	timers_advance(&c->timers, c->now_ms);
	dtls_endpoint_stats(c->endpoint, &s);
	check_bounds(&s);
}

enum operation {
	SEAL,
	RAW,
	REPEAT,
	FORGE,
	GREET,
	SAY,
	ANSWER,
	JOB,
	UP,
	DOWN,
	CHANGE,
	LOSE_UP,
	LOSE_DOWN,
	SPEAK,
	MANAGE,
	TIME,
	OPERATIONS
};

static void operate(struct course *c, struct reader *in)
{
	unsigned from;

	switch ((enum operation)(reader_u8(in) % OPERATIONS)) {
	case SEAL:
		seal(c, in);
		break;
	case RAW:
		from = reader_u8(in) % ADDRESSES;
		deliver(c, from, fuzz_short(in));
		break;
	case REPEAT:
		repeat(c, in);
		break;
	case FORGE:
		forge(c, in);
		break;
	case GREET:
		greet(c, in);
		break;
	case SAY:
		say(c, in);
		break;
	case ANSWER:
		answer(c, in);
		break;
	case JOB:
		run_job(c);
		break;
	case UP:
		pass_to_endpoint(c, in);
		break;
	case DOWN:
		pass_to_device(c);
		break;
	case CHANGE:
		change(c, in);
		break;
	case LOSE_UP:
		drop(&c->to_endpoint);
		break;
	case LOSE_DOWN:
		drop(&c->to_device);
		break;
	case SPEAK:
		device_speak(c, in);
		break;
	case MANAGE:
		manage(c, in);
		break;
	case TIME:
		pass_time(c, reader_u16(in) * 4u);
		break;
	case OPERATIONS:
		break;
	}
}

/* ---- beginning and end ---- */

static void import(struct course *c, unsigned which)
{
	struct dtls_session ours = {.peer = c->addresses[1 + which],
				    .suite = 0xC0A8,
				    .aead = DTLS_AES_128_CCM_8,
				    .created_ms = wall_ms,
				    .used_ms = wall_ms,
				    .peer_cid_len = 3,
				    .peer_cid = {7, 7, 7}};
	uint8_t bytes[DTLS_SESSION_ENCODED_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	int rc;

	memset(ours.read.key, 'r' + (int)which, 16);
	memset(ours.write.key, 'w' + (int)which, 16);
	if (which == WITH_CID) {
		ours.own_cid_len = DTLS_CID_OWN;
		memset(ours.own_cid, 0x10, DTLS_CID_OWN);
	}
	dtls_session_encode(&ours, false, &w);
	assert(!w.failed);
	rc = dtls_endpoint_import(c->endpoint, writer_span(&w), 1, 0, &c->imported[which]);
	assert(rc == 0);
	c->sessions[which] = ours;
	c->sessions[which].write = ours.read;
	c->sessions[which].peer_cid_len = ours.own_cid_len;
	memcpy(c->sessions[which].peer_cid, ours.own_cid, DTLS_CID_OWN);
}

static const struct dtls_client_host device_host = {device_send, device_input, device_ready, device_ended};

static void begin(struct course *c, uint8_t flags)
{
	const struct dtls_host host = {c,
				       on_send,
				       on_input,
				       on_established,
				       on_closed,
				       on_find_psk,
				       on_find_peer,
				       on_find_ticket,
				       on_keep_ticket,
				       on_run,
				       on_refused,
				       wall_of,
				       NULL,
				       NULL};
	struct dtls_client_options device = {.context = client_contexts[!(flags & NO_CID)],
					     .host = &device_host,
					     .timers = &c->timers,
					     .psk_identity = span_str("id"),
					     .psk = span_str(key),
					     .resume = true};
	struct dtls_cookie_keys keys = {.period = 7, .current = "secret"};
	struct dtls_endpoint_config config;

	dtls_endpoint_config_init(&config);
	config.associations_max = ASSOCIATIONS_MAX;
	config.unbound_max = UNBOUND_MAX;
	config.handshakes_max = HANDSHAKES_MAX;
	config.hellos_per_s = flags & LIMITED ? 1 : 0;
	config.hellos_max_per_s = flags & LIMITED ? 3 : 0;
	c->threads = flags & THREADS;
	c->now_ms = 1000;
	c->ticket_id = c->ticket = buffer_of(UINT16_MAX);
	timers_init(&c->timers, c->now_ms);
	random_init_seed(&c->random, 1);
	for (unsigned i = 0; i < ADDRESSES; i++)
		c->addresses[i] =
			(struct address){.ip = {192, 0, 2, (uint8_t)(i + 1)}, .port = 5000, .family = 4};
	c->endpoint = dtls_endpoint_new(&config, &host, server_context, &c->timers, &c->random);
	c->device = dtls_client_new(&device, c);
	assert(c->endpoint && c->device);
	dtls_endpoint_set_cookie_keys(c->endpoint, &keys);
	for (unsigned i = 0; i < IMPORTED; i++)
		import(c, i);
}

static void end(struct course *c)
{
	while (c->job_count)
		run_job(c);
	dtls_client_free(c->device);
	dtls_endpoint_free(c->endpoint);
	buffer_deinit(&c->ticket_id);
	buffer_deinit(&c->ticket);
	free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader in = reader_of(span_of(data, size));
	struct course *c = calloc(1, sizeof(*c));

	assert(c);
	fuzz_begin(2);
	begin(c, reader_u8(&in));
	for (unsigned i = 0; reader_left(&in) && i < OPERATIONS_MAX; i++)
		operate(c, &in);
	end(c);
	return 0;
}
