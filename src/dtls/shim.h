/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"
#include "dtls/context.h"
#include "dtls/engine.h"
#include "dtls/reassembly.h"

/*
 * A handshake from the inside, for this folder alone: shim.c has what stands between wire and engine,
 * outbox.c what goes out, handshake.c the course of it.
 */

/* A record of epoch 1 that waits for its key, or for the end of the handshake. */
struct dtls_held {
	struct list node;
	bool early; /* application data */
	uint8_t type;
	uint64_t seq;
	size_t len;
	uint8_t bytes[];
};

enum dtls_gate { GATE_EMPTY, GATE_READY, GATE_PSK, GATE_PEER, GATE_RESUMPTION, GATE_EXPENSIVE };

struct dtls_inbox {
	struct dtls_reassembly messages;
	bool ccs_came;
	bool ccs_given;
	bool alert_came;
	uint8_t alert[2];
	struct list held;
	size_t held_count;
	size_t held_bytes;
	uint64_t given_seq;    /* next number of epoch 0 towards the engine */
	uint8_t last_type;     /* of the message that was given last */
	bool peer_certified;   /* it has sent a certificate or a raw key */
	bool given_since_sent; /* so what the engine sends next is a new flight */
	bool repeated;	       /* the peer repeats its flight */
	bool in_doubt;	       /* a record that looks like its Finished did not authenticate */
	size_t record_len;     /* of `record`, 0: none is prepared */
	uint8_t record[256];   /* ChangeCipherSpec, alert, or what was sealed again */
	uint64_t read_top;
	uint64_t read_window;
	bool read_any;
};

struct dtls_outbox {
	struct buffer flight;	 /* plaintexts: epoch, type, length of 2 bytes, bytes */
	struct buffer datagrams; /* each behind its length of 2 bytes */
	size_t open; /* where the datagram begins that still takes records; 0 with no datagram: none */
	size_t read;
	uint64_t epoch0_seq;
	uint64_t write_seq; /* of epoch 1 */
	uint64_t resend_at; /* UINT64_MAX: nothing to repeat */
	uint64_t interval_ms;
	uint8_t finished_len;
	uint8_t finished[DTLS_MESSAGE_HEADER + 12];
	bool new_flight;
};

struct dtls_answers {
	bool resumption;
	bool psk;
	bool peer;
	bool pinned;
	bool hidden; /* the identity is unknown, which is kept from the peer */
	struct buffer stored;
	uint8_t identity[DTLS_IDENTITY_MAX];
	size_t identity_len;
	uint8_t key[DTLS_PSK_MAX];
	size_t key_len;
};

struct dtls_handshake {
	const struct dtls_context *context;
	struct dtls_engine *engine; /* NULL: it is over */
	enum dtls_progress progress;
	uint64_t timeout_at;
	uint64_t doubt_until; /* 0: there is none */
	bool started;
	bool expensive; /* this run may be */

	struct dtls_inbox in;
	struct dtls_outbox out;
	struct dtls_answers answers;

	const struct dtls_suite *suite;
	bool resuming;
	bool cid; /* both take part in extension 54 */
	uint8_t own_cid[DTLS_CID_OWN];
	size_t own_cid_len;
	uint8_t peer_cid[DTLS_CID_MAX];
	size_t peer_cid_len;
	bool have_read;
	bool have_write;
	struct dtls_secret read;
	struct dtls_secret write;
	uint8_t session_id[DTLS_SESSION_ID_MAX]; /* that the client offers */
	size_t session_id_len;
	bool hello_seen;
	struct buffer server_name;

	char reason[DTLS_WORDS];
	struct buffer identity;
	struct buffer new_session_id;
	struct buffer ticket;
	struct dtls_result result;
	struct list *early;
	struct dtls_failure failure;
};

void dtls_inbox_init(struct dtls_handshake *h, uint16_t first_message);
void dtls_inbox_deinit(struct dtls_handshake *h);
/* What the engine may have next, or what it waits for. */
enum dtls_gate dtls_shim_gate(struct dtls_handshake *h);
/* The length of the connection id in records to us; that in records to the peer. */
size_t dtls_shim_own_cid_len(const struct dtls_handshake *h);
struct span dtls_shim_cid_of_peer(const struct dtls_handshake *h);

void dtls_outbox_init(struct dtls_handshake *h, uint64_t record_seq);
void dtls_outbox_deinit(struct dtls_handshake *h);
/* Appends a record to the datagrams. False: out of memory, or nobody takes them. */
bool dtls_outbox_record(struct dtls_handshake *h, uint16_t epoch, uint8_t type, struct span plaintext);
/* The same of a flight, which is kept until the engine sends another. */
bool dtls_outbox_keep(struct dtls_handshake *h, uint16_t epoch, uint8_t type, struct span plaintext);
bool dtls_outbox_repeat(struct dtls_handshake *h);
