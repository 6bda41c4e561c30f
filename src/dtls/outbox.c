/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What goes out of a handshake. The hard idea: a flight is kept as plaintext and each sending of it gets new
 * record numbers, from our own counters, so that repeating it is the same in both epochs, before and after
 * the library is gone (RFC 6347, 4.2.4). Records are packed into as few datagrams as the MTU permits. Left
 * out: when to repeat.
 */

#include "dtls/shim.h"

#include <errno.h>

enum {
	FLIGHT_MAX = 24 << 10,
	DATAGRAMS_MAX = 64 << 10,
	ENTRY = 4,  /* bytes before each plaintext of a flight */
	PREFIX = 2, /* bytes before each datagram */
};

void dtls_outbox_init(struct dtls_handshake *h, uint64_t record_seq)
{
	h->out.flight = buffer_of(FLIGHT_MAX);
	h->out.datagrams = buffer_of(DATAGRAMS_MAX);
	h->out.epoch0_seq = record_seq;
	h->out.resend_at = UINT64_MAX;
	h->out.interval_ms = h->context->retransmit_ms;
}

void dtls_outbox_deinit(struct dtls_handshake *h)
{
	buffer_deinit(&h->out.flight);
	buffer_deinit(&h->out.datagrams);
}

static void write_plain(struct writer *w, uint64_t seq, uint8_t type, struct span plaintext)
{
	writer_u8(w, type);
	writer_u16(w, DTLS_VERSION_1_2);
	writer_u16(w, 0);
	writer_uint(w, seq, 6);
	writer_span16(w, plaintext);
}

/* Appends to the datagram that is open, or opens one. */
static bool pack(struct dtls_handshake *h, struct span record)
{
	struct buffer *b = &h->out.datagrams;
	size_t len = b->len > h->out.open ? b->len - h->out.open - PREFIX : 0;

	if (len == 0 || len + record.len > h->context->mtu) {
		h->out.open = b->len;
		len = 0;
		buffer_uint(b, 0, PREFIX);
	}
	buffer_bytes(b, record);
	if (b->failed)
		return false;
	len += record.len;
	b->data[h->out.open] = (uint8_t)(len >> 8);
	b->data[h->out.open + 1] = (uint8_t)len;
	return true;
}

bool dtls_outbox_record(struct dtls_handshake *h, uint16_t epoch, uint8_t type, struct span plaintext)
{
	uint8_t bytes[DTLS_MTU_MAX + DTLS_EXPANSION_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));

	if (epoch == 0)
		write_plain(&w, h->out.epoch0_seq++, type, plaintext);
	else
		dtls_seal(&w, h->suite->aead, &h->write, dtls_shim_cid_of_peer(h), epoch, h->out.write_seq++,
			  type, plaintext);
	return !w.failed && pack(h, writer_span(&w));
}

bool dtls_outbox_keep(struct dtls_handshake *h, uint16_t epoch, uint8_t type, struct span plaintext)
{
	struct buffer *flight = &h->out.flight;

	if (h->in.given_since_sent) {
		h->in.given_since_sent = false;
		flight->len = 0;
	}
	h->out.new_flight = true;
	buffer_u8(flight, (uint8_t)epoch);
	buffer_u8(flight, type);
	buffer_uint(flight, plaintext.len, 2);
	buffer_bytes(flight, plaintext);
	return !flight->failed && dtls_outbox_record(h, epoch, type, plaintext);
}

bool dtls_outbox_repeat(struct dtls_handshake *h)
{
	struct reader r = reader_of(buffer_span(&h->out.flight));
	bool sent = true;

	while (sent && reader_left(&r) >= ENTRY) {
		uint16_t epoch = reader_u8(&r);
		uint8_t type = reader_u8(&r);

		sent = dtls_outbox_record(h, epoch, type, reader_span16(&r));
	}
	return sent;
}

bool dtls_handshake_next_datagram(struct dtls_handshake *h, struct span *datagram)
{
	struct buffer *b = &h->out.datagrams;
	struct reader r = reader_of(span_from(buffer_span(b), h->out.read));

	if (reader_left(&r) < PREFIX) {
		b->len = h->out.read = h->out.open = 0;
		return false;
	}
	*datagram = reader_span16(&r);
	h->out.read += PREFIX + datagram->len;
	h->out.open = b->len;
	return true;
}

bool dtls_last_flight_is_asked(uint8_t type, struct span plaintext)
{
	return type == DTLS_HANDSHAKE && plaintext.len > DTLS_MESSAGE_HEADER &&
	       plaintext.data[0] == DTLS_FINISHED;
}

int dtls_last_flight_resend(struct dtls_last_flight *flight, struct dtls_session *session, struct writer *w)
{
	static const uint8_t change_cipher_spec[] = {1};

	if (!flight->finished_len)
		return -ENOENT;
	write_plain(w, flight->record_seq++, DTLS_CHANGE_CIPHER_SPEC,
		    span_of(change_cipher_spec, sizeof(change_cipher_spec)));
	return dtls_session_seal(session, w, DTLS_HANDSHAKE, span_of(flight->finished, flight->finished_len));
}
