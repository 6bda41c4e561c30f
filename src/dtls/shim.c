/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What stands between the wire and the engine. Two hard ideas. First, the engine gets a record exactly when
 * it can do something with it: messages whole and in order, ChangeCipherSpec after the message it belongs
 * behind, records of epoch 1 when their key is there, and nothing while an answer is awaited; so it never
 * drops or repeats anything. Second, it knows nothing of connection ids: records of epoch 1 are opened here,
 * and sealed again without one, with the very key, which never leaves the process; the other way round for
 * what it sends. Left out: when things happen.
 */

#include "dtls/shim.h"

#include <stdio.h>

static const uint32_t types_to_server = 1u << DTLS_CLIENT_HELLO | 1u << DTLS_CERTIFICATE |
					1u << DTLS_CERTIFICATE_VERIFY | 1u << DTLS_CLIENT_KEY_EXCHANGE;
static const uint32_t types_to_client = 1u << DTLS_SERVER_HELLO | 1u << DTLS_HELLO_VERIFY_REQUEST |
					1u << DTLS_NEW_SESSION_TICKET | 1u << DTLS_CERTIFICATE |
					1u << DTLS_SERVER_KEY_EXCHANGE | 1u << DTLS_CERTIFICATE_REQUEST |
					1u << DTLS_SERVER_HELLO_DONE | 1u << DTLS_CERTIFICATE_STATUS;
/* After these a side without PSK verifies, signs or multiplies. */
static const uint32_t expensive_to_server = 1u << DTLS_CERTIFICATE_VERIFY | 1u << DTLS_CLIENT_KEY_EXCHANGE;
static const uint32_t expensive_to_client =
	1u << DTLS_CERTIFICATE | 1u << DTLS_SERVER_KEY_EXCHANGE | 1u << DTLS_SERVER_HELLO_DONE;

enum { FINISHED = DTLS_MESSAGE_HEADER + 12, ENGINE_RECORD_MAX = 128 };

static bool is_server(const struct dtls_handshake *h)
{
	return h->context->role == DTLS_SERVER;
}

void dtls_inbox_init(struct dtls_handshake *h, uint16_t first_message)
{
	dtls_reassembly_init(&h->in.messages, first_message,
			     is_server(h) ? types_to_server : types_to_client);
	list_init(&h->in.held);
}

static void free_held(struct dtls_handshake *h, struct dtls_held *held)
{
	list_remove(&held->node);
	h->in.held_count--;
	h->in.held_bytes -= held->len;
	free(held);
}

void dtls_inbox_deinit(struct dtls_handshake *h)
{
	dtls_reassembly_deinit(&h->in.messages);
	list_for_each_safe (node, &h->in.held)
		free_held(h, container_of(node, struct dtls_held, node));
}

size_t dtls_shim_own_cid_len(const struct dtls_handshake *h)
{
	return h->cid ? h->own_cid_len : 0;
}

struct span dtls_shim_cid_of_peer(const struct dtls_handshake *h)
{
	return span_of(h->peer_cid, h->cid ? h->peer_cid_len : 0);
}

/* ---- what comes ---- */

/* Keeps a record of epoch 1, once. */
static void hold(struct dtls_handshake *h, const struct dtls_record *r)
{
	struct dtls_held *held;

	if (h->in.held_count >= DTLS_HELD_RECORDS || h->in.held_bytes + r->whole.len > DTLS_HELD_MAX ||
	    r->whole.len > DTLS_HELD_RECORD_MAX)
		return;
	list_for_each (node, &h->in.held) {
		held = container_of(node, struct dtls_held, node);
		if (span_equal(span_of(held->bytes, held->len), r->whole))
			return;
	}
	held = malloc(sizeof(*held) + r->whole.len);
	if (!held)
		return;
	*held = (struct dtls_held){.type = r->type, .seq = r->seq, .len = r->whole.len};
	memcpy(held->bytes, r->whole.data, r->whole.len);
	list_append(&h->in.held, &held->node);
	h->in.held_count++;
	h->in.held_bytes += held->len;
}

void dtls_handshake_input(struct dtls_handshake *h, const struct dtls_record *r)
{
	unsigned found;

	/* What comes when it is done, and the caller has not taken the result yet, is early data. */
	if (r->epoch == 1 && (h->engine || h->progress == DTLS_DONE)) {
		hold(h, r);
		return;
	}
	if (!h->engine || r->epoch > 1)
		return;
	switch (r->type) {
	case DTLS_HANDSHAKE:
		found = dtls_reassembly_add(&h->in.messages, r->version, r->fragment);
		h->in.repeated |= found & DTLS_REASSEMBLY_REPEATED;
		break;
	case DTLS_CHANGE_CIPHER_SPEC:
		h->in.ccs_came |= r->fragment.len == 1 && r->fragment.data[0] == 1;
		break;
	case DTLS_ALERT:
		if (r->fragment.len != sizeof(h->in.alert))
			break;
		h->in.alert_came = true;
		memcpy(h->in.alert, r->fragment.data, sizeof(h->in.alert));
		break;
	default:
		break;
	}
}

/* ---- what the engine may have ---- */

static void look_at_hello(struct dtls_handshake *h, const struct dtls_client_hello *hello)
{
	if (h->hello_seen)
		return;
	h->hello_seen = true;
	if (hello->session_id.len)
		memcpy(h->session_id, hello->session_id.data, hello->session_id.len);
	h->session_id_len = hello->session_id.len;
	buffer_bytes(&h->server_name, hello->server_name);
}

/* A hello costs little if a stored session or a pre-shared key will be used, which come first. */
static bool hello_is_expensive(const struct dtls_handshake *h, const struct dtls_client_hello *hello)
{
	struct reader r = reader_of(hello->suites);

	if (h->answers.stored.len)
		return false;
	while (h->context->credentials & DTLS_WITH_PSK && reader_left(&r)) {
		const struct dtls_suite *suite = dtls_suite_find(reader_u16(&r));

		if (suite && suite->psk)
			return false;
	}
	return true;
}

static enum dtls_gate gate_of_hello(struct dtls_handshake *h, struct span body)
{
	struct dtls_client_hello hello;

	if (dtls_client_hello_parse(body, &hello) < 0)
		return GATE_READY; /* to be refused */
	look_at_hello(h, &hello);
	if (h->context->resumption && h->session_id_len && !h->answers.resumption)
		return GATE_RESUMPTION;
	return !h->expensive && hello_is_expensive(h, &hello) ? GATE_EXPENSIVE : GATE_READY;
}

static enum dtls_gate gate_of_key_exchange(struct dtls_handshake *h, struct span body)
{
	struct span identity;

	if (dtls_psk_identity_parse(body, &identity) < 0 || identity.len > DTLS_IDENTITY_MAX)
		return GATE_READY;
	if (identity.len)
		memcpy(h->answers.identity, identity.data, identity.len);
	h->answers.identity_len = identity.len;
	return GATE_PSK;
}

static enum dtls_gate gate_of_message(struct dtls_handshake *h, uint8_t type, struct span body)
{
	struct span chain[DTLS_CHAIN_MAX];
	size_t count;
	bool psk = h->suite && h->suite->psk;

	if (type == DTLS_CLIENT_HELLO)
		return gate_of_hello(h, body);
	if (type == DTLS_CLIENT_KEY_EXCHANGE && psk && !h->answers.psk)
		return gate_of_key_exchange(h, body);
	if (type == DTLS_CERTIFICATE && !h->answers.peer &&
	    dtls_certificate_parse(body, dtls_engine_peer_has_raw_key(h->engine), chain, &count) == 0 &&
	    count)
		return GATE_PEER;
	if (!psk && !h->expensive && (is_server(h) ? expensive_to_server : expensive_to_client) & 1u << type)
		return GATE_EXPENSIVE;
	return GATE_READY;
}

/* Whether the peer's ChangeCipherSpec is what comes next: before that, the engine would drop it. */
static bool ccs_is_due(const struct dtls_handshake *h)
{
	uint8_t last = h->in.last_type;

	if (!h->in.ccs_came || h->in.ccs_given)
		return false;
	if (is_server(h))
		return last == DTLS_CERTIFICATE_VERIFY || (last == DTLS_CLIENT_HELLO && h->resuming) ||
		       (last == DTLS_CLIENT_KEY_EXCHANGE && !h->in.peer_certified);
	return last == DTLS_SERVER_HELLO_DONE || last == DTLS_NEW_SESSION_TICKET ||
	       (last == DTLS_SERVER_HELLO && h->resuming);
}

static void saw(struct dtls_handshake *h, uint64_t seq)
{
	struct dtls_inbox *in = &h->in;

	if (!in->read_any || seq > in->read_top) {
		uint64_t step = in->read_any ? seq - in->read_top : DTLS_WINDOW;

		in->read_window = step < DTLS_WINDOW ? in->read_window << step | 1 : 1;
		in->read_top = seq;
	} else if (in->read_top - seq < DTLS_WINDOW) {
		in->read_window |= 1ull << (in->read_top - seq);
	}
	in->read_any = true;
}

/* What the record layer of the session would take: RFC 9146, 3 leaves no choice once ids are agreed. */
static bool has_form(const struct dtls_handshake *h, const struct dtls_record *r)
{
	size_t len = dtls_shim_own_cid_len(h);

	if (len)
		return r->type == DTLS_TLS12_CID && span_equal(r->cid, span_of(h->own_cid, len));
	return r->type >= DTLS_CHANGE_CIPHER_SPEC && r->type <= DTLS_APPLICATION_DATA;
}

/* Opens a held record and seals it again for the engine. False: it is of no use, or not yet. */
static bool translate(struct dtls_handshake *h, struct dtls_held *held, bool *keep)
{
	struct reader in = reader_of(span_of(held->bytes, held->len));
	struct writer w = writer_of(h->in.record, sizeof(h->in.record));
	uint8_t bytes[DTLS_HELD_RECORD_MAX], type;
	struct dtls_record r;
	struct span plaintext;

	*keep = false;
	if (dtls_record_parse(&in, h->own_cid_len, &r) < 0 || !has_form(h, &r))
		return false;
	if (dtls_open(h->suite->aead, &h->read, &r, bytes, &plaintext, &type) < 0) {
		h->in.in_doubt |= r.fragment.len >= DTLS_EXPLICIT + FINISHED + dtls_tag_len(h->suite->aead) &&
				  !h->in.read_any;
		return false;
	}
	if (type == DTLS_APPLICATION_DATA) {
		held->early = *keep = true;
		return false;
	}
	if (plaintext.len == 0 || plaintext.len > ENGINE_RECORD_MAX)
		return false;
	saw(h, r.seq);
	dtls_seal(&w, h->suite->aead, &h->read, (struct span){0}, r.epoch, r.seq, type, plaintext);
	explicit_bzero(bytes, sizeof(bytes));
	h->in.record_len = w.failed ? 0 : writer_len(&w);
	return h->in.record_len > 0;
}

static bool prepare_protected(struct dtls_handshake *h)
{
	bool keep;

	if (!h->have_read && h->suite)
		h->have_read = dtls_engine_secret(h->engine, true, dtls_key_len(h->suite->aead), &h->read);
	if (!h->have_read)
		return false;
	list_for_each_safe (node, &h->in.held) {
		struct dtls_held *held = container_of(node, struct dtls_held, node);
		bool found;

		if (held->early)
			continue;
		found = translate(h, held, &keep);
		if (!keep)
			free_held(h, held);
		if (found)
			return true;
	}
	return false;
}

static void prepare_plain(struct dtls_handshake *h, uint8_t type, struct span fragment)
{
	struct writer w = writer_of(h->in.record, sizeof(h->in.record));

	writer_u8(&w, type);
	writer_u16(&w, DTLS_VERSION_1_2);
	writer_u16(&w, 0);
	writer_uint(&w, h->in.given_seq++, 6);
	writer_span16(&w, fragment);
	assert(!w.failed);
	h->in.record_len = writer_len(&w);
}

enum dtls_gate dtls_shim_gate(struct dtls_handshake *h)
{
	static const uint8_t change_cipher_spec[] = {1};
	struct span body;
	uint8_t type;

	if (h->in.record_len)
		return GATE_READY;
	if (!h->in.ccs_given && dtls_reassembly_peek(&h->in.messages, &type, &body))
		return gate_of_message(h, type, body);
	if (ccs_is_due(h)) {
		h->in.ccs_given = true;
		prepare_plain(h, DTLS_CHANGE_CIPHER_SPEC,
			      span_of(change_cipher_spec, sizeof(change_cipher_spec)));
		return GATE_READY;
	}
	if (prepare_protected(h))
		return GATE_READY;
	if (h->in.alert_came && !h->have_read) {
		h->in.alert_came = false;
		prepare_plain(h, DTLS_ALERT, span_of(h->in.alert, sizeof(h->in.alert)));
		return GATE_READY;
	}
	return GATE_EMPTY;
}

bool dtls_shim_ready(struct dtls_handshake *h)
{
	return dtls_shim_gate(h) == GATE_READY;
}

/* A server's choice, seen on its way in or out (an engine may only know it too late). */
static void note_server_hello(struct dtls_handshake *h, struct span body)
{
	struct dtls_server_hello hello;

	if (dtls_server_hello_parse(body, &hello) < 0)
		return;
	h->suite = dtls_suite_find(hello.suite);
	h->resuming =
		h->session_id_len && span_equal(hello.session_id, span_of(h->session_id, h->session_id_len));
}

static void note_message(struct dtls_handshake *h, uint8_t type, struct span body)
{
	h->in.last_type = type;
	h->in.repeated = false;
	if (type == DTLS_SERVER_HELLO)
		note_server_hello(h, body);
	if (type == DTLS_CERTIFICATE)
		h->in.peer_certified = h->answers.peer;
}

bool dtls_shim_take(struct dtls_handshake *h, struct span *record)
{
	struct span body;
	uint8_t type;

	if (!dtls_shim_ready(h))
		return false;
	h->in.given_since_sent = true;
	if (h->in.record_len) {
		*record = span_of(h->in.record, h->in.record_len);
		h->in.record_len = 0;
		return true;
	}
	if (!dtls_reassembly_peek(&h->in.messages, &type, &body))
		return false;
	note_message(h, type, body);
	*record = dtls_reassembly_take(&h->in.messages, h->in.given_seq++);
	return true;
}

/* ---- what the engine sends ---- */

static void note_sent(struct dtls_handshake *h, uint16_t epoch, struct span plaintext)
{
	struct reader r = reader_of(plaintext);
	struct dtls_fragment f;
	struct dtls_client_hello hello;

	if (dtls_fragment_parse(&r, &f) < 0 || f.offset != 0)
		return;
	if (epoch == 1 && f.type == DTLS_FINISHED && plaintext.len == sizeof(h->out.finished)) {
		memcpy(h->out.finished, plaintext.data, plaintext.len);
		h->out.finished_len = (uint8_t)plaintext.len;
	}
	if (epoch == 0 && f.type == DTLS_SERVER_HELLO)
		note_server_hello(h, f.body);
	if (epoch == 0 && f.type == DTLS_CLIENT_HELLO && dtls_client_hello_parse(f.body, &hello) == 0)
		look_at_hello(h, &hello);
}

static bool send_record(struct dtls_handshake *h, const struct dtls_record *r)
{
	uint8_t bytes[DTLS_MTU_MAX], type = r->type;
	struct span plaintext = r->fragment;

	if (r->epoch > 0) {
		if (!h->have_write && h->suite)
			h->have_write =
				dtls_engine_secret(h->engine, false, dtls_key_len(h->suite->aead), &h->write);
		if (!h->have_write || r->fragment.len > sizeof(bytes) ||
		    dtls_open(h->suite->aead, &h->write, r, bytes, &plaintext, &type) < 0)
			return false;
	}
	if (type == DTLS_ALERT)
		return dtls_outbox_record(h, r->epoch, type, plaintext);
	if (type == DTLS_HANDSHAKE)
		note_sent(h, r->epoch, plaintext);
	return dtls_outbox_keep(h, r->epoch, type, plaintext);
}

bool dtls_shim_sent(struct dtls_handshake *h, struct span records)
{
	struct reader in = reader_of(records);
	struct dtls_record r;

	while (reader_left(&in)) {
		if (dtls_record_parse(&in, 0, &r) < 0 || r.epoch > 1 || !send_record(h, &r))
			return false;
	}
	return true;
}

/* ---- what the engine asks ---- */

const struct dtls_context *dtls_shim_context(const struct dtls_handshake *h)
{
	return h->context;
}

/* A server need not take part; what it cannot keep it does as if it knew nothing of it. */
bool dtls_shim_peer_cid(struct dtls_handshake *h, struct span extension)
{
	struct reader r = reader_of(extension);
	size_t len = reader_u8(&r);
	struct span cid = reader_bytes(&r, len);

	if (r.failed || reader_left(&r))
		return false;
	if (cid.len > sizeof(h->peer_cid))
		return is_server(h);
	if (cid.len)
		memcpy(h->peer_cid, cid.data, cid.len);
	h->peer_cid_len = cid.len;
	h->cid = true;
	return true;
}

bool dtls_shim_own_cid(const struct dtls_handshake *h, struct writer *extension)
{
	if (is_server(h) && !h->cid)
		return false;
	writer_u8(extension, (uint8_t)h->own_cid_len);
	writer_bytes(extension, span_of(h->own_cid, h->own_cid_len));
	return true;
}

void dtls_shim_psk(const struct dtls_handshake *h, struct span *identity, struct span *key)
{
	*identity = span_of(h->answers.identity, h->answers.identity_len);
	*key = span_of(h->answers.key, h->answers.key_len);
}

bool dtls_shim_peer_is_accepted(const struct dtls_handshake *h)
{
	return h->answers.peer;
}

bool dtls_shim_verifies_chain(const struct dtls_handshake *h)
{
	return h->context->has_trust && !h->answers.pinned;
}

void dtls_shim_set_reason(struct dtls_handshake *h, const char *words)
{
	(void)snprintf(h->reason, sizeof(h->reason), "%s", words);
}

struct span dtls_shim_stored(const struct dtls_handshake *h, struct span session_id)
{
	if (!span_equal(session_id, span_of(h->session_id, h->session_id_len)))
		return (struct span){0};
	return buffer_span(&h->answers.stored);
}

void dtls_shim_store(struct dtls_handshake *h, struct span session_id, struct span ticket)
{
	h->new_session_id.len = h->ticket.len = 0;
	buffer_bytes(&h->new_session_id, session_id);
	buffer_bytes(&h->ticket, ticket);
}
