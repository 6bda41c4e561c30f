/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A server's handshake with a client, between them somebody who drops, repeats, changes and adds records as
 * the input says, and answers the server's questions, rightly or not. The first byte: 1 raw public keys, 2
 * the server and 4 the client have connection ids, 8 the server computes at once. What must hold: a handshake
 * is only complete with the client that has the key, after it was asked about, and both have the same
 * secrets.
 */

#include "dtls_fuzz.h"

enum { RAW_KEYS = 1, SERVER_CID = 2, CLIENT_CID = 4, PATIENT = 8 };
enum { OPERATIONS_MAX = 300, PACKETS = 32, PACKET = 2048, DATAGRAMS_MAX = 64 };

static const char identity[] = "urn:dev:1", key[] = "0123456789abcdef";

/* Of kind, connection ids, role: made once. */
static struct dtls_context *contexts[2][2][2];

struct packets {
	unsigned count;
	struct packet {
		size_t len;
		uint8_t bytes[PACKET];
	} of[PACKETS];
};

struct course {
	struct dtls_handshake *handshakes[2]; /* of dtls_role */
	enum dtls_progress progress[2];
	const struct dtls_context *client_context;
	size_t cid_len[2];
	uint64_t now_ms;
	bool raw_keys, patient;
	bool client_finished; /* it has sent a record of epoch 1 */
	bool accepted;	      /* the right key was given, or the peer accepted */
	struct packets to[2]; /* records to the server, datagrams to the client */
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	fuzz_begin(1);
	for (unsigned i = 0; i < 8; i++)
		contexts[i & 1][i >> 1 & 1][i >> 2] = fuzz_context(
			(enum dtls_role)(i >> 2), i & 1 ? DTLS_WITH_RAW_KEY : DTLS_WITH_PSK, i >> 1 & 1);
	return 0;
}

static void put(struct packets *p, struct span bytes)
{
	if (p->count == PACKETS)
		return;
	assert(bytes.len <= PACKET);
	memcpy(p->of[p->count].bytes, bytes.data, bytes.len);
	p->of[p->count++].len = bytes.len;
}

static void drop(struct packets *p, unsigned which)
{
	if (which >= p->count)
		return;
	memmove(&p->of[which], &p->of[which + 1], (--p->count - which) * sizeof(p->of[0]));
}

static bool is_over(enum dtls_progress p)
{
	return p == DTLS_DONE || p == DTLS_FAILED;
}

/* ---- what must hold ---- */

static void check_secrets(const struct course *c)
{
	const struct dtls_session *server = &dtls_handshake_result(c->handshakes[DTLS_SERVER])->session,
				  *client = &dtls_handshake_result(c->handshakes[DTLS_CLIENT])->session;

	assert(server->suite == client->suite && server->aead == client->aead);
	assert(memcmp(&server->read, &client->write, sizeof(server->read)) == 0);
	assert(memcmp(&server->write, &client->read, sizeof(server->write)) == 0);
	assert(server->own_cid_len == client->peer_cid_len && server->peer_cid_len == client->own_cid_len);
}

static void check_done(struct course *c)
{
	const struct dtls_result *result = dtls_handshake_result(c->handshakes[DTLS_SERVER]);
	struct dtls_record early;

	assert(c->client_finished && c->accepted && !result->resumed);
	if (c->raw_keys)
		assert(result->kind == DTLS_IDENTITY_RAW_KEY &&
		       span_equal(result->identity, dtls_context_public_key(c->client_context)));
	else
		assert(result->kind == DTLS_IDENTITY_PSK && span_is(result->identity, identity));
	while (dtls_handshake_next_early(c->handshakes[DTLS_SERVER], &early))
		assert(early.epoch == 1);
}

static void check(struct course *c, enum dtls_role role)
{
	struct dtls_handshake *h = c->handshakes[role];

	if (c->progress[role] == DTLS_FAILED)
		assert(dtls_handshake_failure(h)->cause != DTLS_CAUSE_NONE &&
		       dtls_handshake_failure(h)->words[0]);
	if (is_over(c->progress[role]))
		assert(dtls_handshake_deadline(h) == UINT64_MAX);
	else
		assert(dtls_handshake_deadline(h) > c->now_ms);
	if (c->progress[DTLS_SERVER] == DTLS_DONE && c->progress[DTLS_CLIENT] == DTLS_DONE)
		check_secrets(c);
}

/* ---- the course ---- */

/* The client's datagrams as records, so that each may be treated in its own way. */
static void put_records(struct course *c, struct span datagram)
{
	struct reader r = reader_of(datagram);
	struct dtls_record record;

	while (dtls_record_parse(&r, c->cid_len[DTLS_SERVER], &record) == 0) {
		c->client_finished |= record.epoch == 1;
		put(&c->to[DTLS_SERVER], record.whole);
	}
	assert(reader_left(&r) == 0);
}

static void run(struct course *c, enum dtls_role role)
{
	struct dtls_handshake *h = c->handshakes[role];
	struct span datagram;
	unsigned datagrams = 0;

	c->progress[role] = dtls_handshake_run(h, c->now_ms, role == DTLS_CLIENT || c->patient);
	if (c->progress[role] == DTLS_NEED_PEER && role == DTLS_CLIENT) {
		dtls_handshake_accept_peer(h, false);
		c->progress[role] = dtls_handshake_run(h, c->now_ms, true);
	}
	while (dtls_handshake_next_datagram(h, &datagram)) {
		assert(datagram.len > 0 && datagram.len <= FUZZ_MTU && ++datagrams <= DATAGRAMS_MAX);
		if (role == DTLS_CLIENT)
			put_records(c, datagram);
		else
			put(&c->to[DTLS_CLIENT], datagram);
	}
	check(c, role);
	if (role == DTLS_SERVER && c->progress[role] == DTLS_DONE)
		check_done(c);
}

static void deliver(struct course *c, enum dtls_role role, struct span bytes)
{
	_cleanup_copy_ struct span datagram = fuzz_copy(bytes);
	struct reader r = reader_of(datagram);
	struct dtls_record record;

	while (dtls_record_parse(&r, c->cid_len[role], &record) == 0)
		dtls_handshake_input(c->handshakes[role], &record);
	run(c, role);
}

static void deliver_packet(struct course *c, enum dtls_role role, unsigned which)
{
	struct packets *p = &c->to[role];

	if (which < p->count)
		deliver(c, role, span_of(p->of[which].bytes, p->of[which].len));
}

static void change(struct course *c, struct reader *in)
{
	struct packets *p = &c->to[DTLS_SERVER];
	uint16_t at = reader_u16(in);
	uint8_t by = reader_u8(in);

	if (p->count)
		p->of[0].bytes[at % p->of[0].len] ^= by;
}

static void add_message(struct course *c, struct reader *in)
{
	uint8_t bytes[512];
	struct writer w = writer_of(bytes, sizeof(bytes));
	uint8_t type = reader_u8(in), seq = reader_u8(in);
	struct span body = fuzz_short(in);

	writer_u8(&w, DTLS_HANDSHAKE);
	writer_u16(&w, DTLS_VERSION_1_2);
	writer_u64(&w, seq);
	writer_u16(&w, (uint16_t)(DTLS_MESSAGE_HEADER + body.len));
	writer_u8(&w, type);
	writer_u24(&w, (uint32_t)body.len);
	writer_u16(&w, seq);
	writer_u24(&w, 0);
	writer_u24(&w, (uint32_t)body.len);
	writer_bytes(&w, body);
	assert(!w.failed);
	deliver(c, DTLS_SERVER, writer_span(&w));
}

enum { ANSWER_RIGHT, ANSWER_WRONG, ANSWER_REFUSED, ANSWERS };

/* What was not asked is not answered: that may not change anything. */
static void answer(struct course *c, struct reader *in)
{
	struct dtls_handshake *h = c->handshakes[DTLS_SERVER];
	enum dtls_progress asked = c->progress[DTLS_SERVER];

	switch (reader_u8(in) % ANSWERS) {
	case ANSWER_RIGHT:
		c->accepted |= asked == DTLS_NEED_PSK || asked == DTLS_NEED_PEER;
		dtls_handshake_set_psk(h, span_str(key));
		dtls_handshake_accept_peer(h, false);
		dtls_handshake_resume(h, (struct span){0});
		break;
	case ANSWER_WRONG:
		dtls_handshake_set_psk(h, span_str("another"));
		break;
	case ANSWER_REFUSED:
		dtls_handshake_refuse(h);
		break;
	}
	run(c, DTLS_SERVER);
}

static void pass_time(struct course *c, uint64_t ms)
{
	c->now_ms += ms;
	run(c, DTLS_SERVER);
	run(c, DTLS_CLIENT);
}

static void compute(struct course *c)
{
	bool patient = c->patient;

	c->patient = true;
	run(c, DTLS_SERVER);
	c->patient = patient;
}

enum operation {
	PASS,
	REPLY,
	ANSWER,
	REPEAT,
	LAST,
	CHANGE,
	DROP,
	LOSE,
	RAW,
	MESSAGE,
	TIME,
	COMPUTE,
	OPERATIONS
};

static void operate(struct course *c, struct reader *in)
{
	struct packets *server = &c->to[DTLS_SERVER], *client = &c->to[DTLS_CLIENT];

	switch ((enum operation)(reader_u8(in) % OPERATIONS)) {
	case PASS:
		deliver_packet(c, DTLS_SERVER, 0);
		drop(server, 0);
		break;
	case REPLY:
		deliver_packet(c, DTLS_CLIENT, 0);
		drop(client, 0);
		break;
	case ANSWER:
		answer(c, in);
		break;
	case REPEAT:
		deliver_packet(c, DTLS_SERVER, 0);
		break;
	case LAST:
		deliver_packet(c, DTLS_SERVER, server->count - 1);
		drop(server, server->count - 1);
		break;
	case CHANGE:
		change(c, in);
		break;
	case DROP:
		drop(server, 0);
		break;
	case LOSE:
		drop(client, 0);
		break;
	case RAW:
		deliver(c, DTLS_SERVER, fuzz_short(in));
		break;
	case MESSAGE:
		add_message(c, in);
		break;
	case TIME:
		pass_time(c, reader_u16(in));
		break;
	case COMPUTE:
		compute(c);
		break;
	case OPERATIONS:
		break;
	}
}

static void begin(struct course *c, uint8_t flags)
{
	static const uint8_t cids[2][FUZZ_CID] = {"server-", "client-"};

	c->raw_keys = flags & RAW_KEYS;
	c->patient = flags & PATIENT;
	c->now_ms = 1000;
	for (unsigned role = 0; role < 2; role++) {
		bool cid = flags & (role == DTLS_SERVER ? SERVER_CID : CLIENT_CID);
		const struct dtls_context *context = contexts[c->raw_keys][cid][role];
		struct dtls_handshake_options o = {.own_cid = span_of(cids[role], cid ? FUZZ_CID : 0)};

		if (role == DTLS_CLIENT && !c->raw_keys) {
			o.psk_identity = span_str(identity);
			o.psk = span_str(key);
		}
		if (role == DTLS_CLIENT)
			c->client_context = context;
		c->cid_len[role] = o.own_cid.len;
		c->handshakes[role] = dtls_handshake_new(context, &o, c->now_ms);
		assert(c->handshakes[role]);
	}
	run(c, DTLS_CLIENT);
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
	dtls_handshake_free(c->handshakes[DTLS_SERVER]);
	dtls_handshake_free(c->handshakes[DTLS_CLIENT]);
	free(c);
	return 0;
}
