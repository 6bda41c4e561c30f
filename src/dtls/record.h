/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"

/*
 * Records of DTLS 1.2 (RFC 6347, 4.1), with connection ids (RFC 9146), protected by an AEAD (RFC
 * 5246, 6.2.3.3; RFC 5288 GCM, RFC 6655 CCM). Nothing here has state, a clock or a socket; nothing is
 * allocated.
 */

enum dtls_content_type {
	DTLS_CHANGE_CIPHER_SPEC = 20,
	DTLS_ALERT = 21,
	DTLS_HANDSHAKE = 22,
	DTLS_APPLICATION_DATA = 23,
	DTLS_TLS12_CID = 25,
};

enum {
	DTLS_CID_MAX = 32,	      /* of the peer; the protocol permits 255, this bounds what we keep */
	DTLS_CID_OWN = 8,	      /* ours: 4 bits format, 12 bits slot, 48 bits random */
	DTLS_CID_FORMAT = 1,	      /* ... the format */
	DTLS_HEADER = 13,	      /* of a record without connection id */
	DTLS_VERSION = 0xFEFD,	      /* 1.2; hellos may come with 1.0, 0xFEFF */
	DTLS_PLAINTEXT_MAX = 1 << 14, /* RFC 6347, 4.1.1 */
	DTLS_FRAGMENT_MAX = DTLS_PLAINTEXT_MAX + 2048, /* RFC 5246, 6.2.3 */
	DTLS_KEY_MAX = 32,
	DTLS_IV = 4,	   /* the implicit part of the nonce */
	DTLS_EXPLICIT = 8, /* the part that is sent */
	DTLS_TAG_MAX = 16,
	DTLS_EXPANSION_MAX = DTLS_HEADER + DTLS_CID_MAX + DTLS_EXPLICIT + 1 + DTLS_TAG_MAX,
};

/* AEAD suites alone (docs/dtls.md says why). */
enum dtls_aead {
	DTLS_AES_128_CCM_8,
	DTLS_AES_128_CCM,
	DTLS_AES_128_GCM,
	DTLS_AES_256_CCM_8,
	DTLS_AES_256_CCM,
	DTLS_AES_256_GCM,
	DTLS_AEAD_COUNT,
};

struct dtls_suite {
	uint16_t id; /* of the TLS registry: 0xC0A8 */
	uint8_t aead;
	bool psk; /* else ECDHE-ECDSA, with X.509 or raw public keys */
	const char *name;
};
/* NULL: not one of ours. */
const struct dtls_suite *dtls_suite_find(uint16_t id);
size_t dtls_key_len(enum dtls_aead aead);
size_t dtls_tag_len(enum dtls_aead aead);

/* The secrets of one direction. */
struct dtls_secret {
	uint8_t key[DTLS_KEY_MAX];
	uint8_t iv[DTLS_IV];
};

struct dtls_record {
	uint8_t type; /* as on the wire: DTLS_TLS12_CID hides the real one */
	uint16_t version;
	uint16_t epoch;
	uint64_t seq;	      /* 48 bits */
	struct span cid;      /* of `cid_len` bytes with DTLS_TLS12_CID, else empty */
	struct span fragment; /* what is protected, or in epoch 0 plain */
	struct span whole;    /* header and fragment */
};

/*
 * The next record of a datagram; everything borrows from it. A tls12_cid record is taken to have a connection
 * id of `cid_len` bytes, since its length is not on the wire. -EBADMSG: what is left is no record (cut short,
 * or longer than DTLS_FRAGMENT_MAX), and nothing behind it can be found; -ENODATA: nothing is left. Types and
 * versions that do not exist are given out like others.
 */
int dtls_record_parse(struct reader *datagram, size_t cid_len, struct dtls_record *out) NODISCARD;

/*
 * Appends one protected record: as tls12_cid if `cid` is not empty (RFC 9146, 5), else with its type in the
 * clear. The explicit nonce is epoch and sequence number: a caller never uses a pair twice with one key.
 * The writer fails, with nothing written, if it does not fit (len + DTLS_EXPANSION_MAX is enough) or is
 * longer than DTLS_PLAINTEXT_MAX. `plaintext` must not overlap the room of the writer.
 */
void dtls_seal(struct writer *w, enum dtls_aead aead, const struct dtls_secret *secret, struct span cid,
	       uint16_t epoch, uint64_t seq, uint8_t type, struct span plaintext);
/*
 * Opens a protected record into `out`, which needs fragment.len bytes: the content is in *plaintext, its real
 * type in *type. -EBADMSG: too short, too long, does not authenticate, or has no type (all zeroes, RFC 9146,
 * 4). What was written to `out` is wiped then. The nonce is the one in the record, whatever the peer makes it
 * of.
 */
int dtls_open(enum dtls_aead aead, const struct dtls_secret *secret, const struct dtls_record *r,
	      uint8_t *out, struct span *plaintext, uint8_t *type) NODISCARD;
