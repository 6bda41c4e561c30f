/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What protecting a record and moving a session cost, in nanoseconds of CPU, each beside the floor that the
 * library sets:
 *
 *   bench-record        prints a line NAME NANOSECONDS for each
 *
 * A record has 64 bytes of content and a connection id of 8, under AES_128_CCM_8; its floor is nettle's
 * message function with the schedule of the key, over the same text and the same additional data. A move is a
 * session encoded, sealed, opened and decoded; its floor is 256 bytes sealed by the vault's AEAD. The
 * measurements take turns, many times, and the best of each counts, because what others do on the machine can
 * only add.
 */

#include "dtls/session.h"
#include "dtls/vault.h"

#include <nettle/ccm.h>
#include <nettle/chacha-poly1305.h>
#include <stdio.h>
#include <time.h>

enum { CONTENT = 64, TEXT = CONTENT + 1, TAG = 8, NONCE = 12, AAD = 23 + DTLS_CID_OWN, MOVED = 256 };
enum { ROUNDS = 60, REPEATS = 2000, ROOM = 512 };

struct record_bench {
	struct dtls_secret secret;
	struct dtls_session session;
	struct vault vault;
	uint8_t text[MOVED]; /* content, for the floor with the type behind it */
	uint8_t nonce[NONCE];
	uint8_t aad[AAD];
	uint8_t bytes[ROOM]; /* the record below */
	struct dtls_record record;
	uint8_t out[ROOM];
};

typedef bool measured(struct record_bench *b);

static const uint8_t cid[DTLS_CID_OWN] = {0x10, 1, 2, 3, 4, 5, 6, 7};
static const uint8_t vault_key[CHACHA_POLY1305_KEY_SIZE] = {1};

static bool record_seal(struct record_bench *b)
{
	struct writer w = writer_of(b->out, sizeof(b->out));

	dtls_seal(&w, DTLS_AES_128_CCM_8, &b->secret, span_of(cid, sizeof(cid)), DTLS_EPOCH, 0,
		  DTLS_APPLICATION_DATA, span_of(b->text, CONTENT));
	return !w.failed;
}

static bool nettle_seal(struct record_bench *b)
{
	struct ccm_aes128_ctx ctx;

	ccm_aes128_set_key(&ctx, b->secret.key);
	ccm_aes128_encrypt_message(&ctx, NONCE, b->nonce, AAD, b->aad, TAG, TEXT + TAG, b->out, b->text);
	return true;
}

static bool record_open(struct record_bench *b)
{
	struct reader r = reader_of(b->record.whole);
	struct dtls_record record;
	struct span plaintext;
	uint8_t type;

	return dtls_record_parse(&r, sizeof(cid), &record) == 0 &&
	       dtls_open(DTLS_AES_128_CCM_8, &b->secret, &record, b->out, &plaintext, &type) == 0;
}

static bool nettle_open(struct record_bench *b)
{
	struct ccm_aes128_ctx ctx;

	ccm_aes128_set_key(&ctx, b->secret.key);
	return ccm_aes128_decrypt_message(&ctx, NONCE, b->nonce, AAD, b->aad, TAG, TEXT, b->out,
					  b->record.fragment.data + DTLS_EXPLICIT);
}

static bool session_move(struct record_bench *b)
{
	struct vault_place place = {VAULT_SESSION, 0, span_str("urn:imei:123456789012345")};
	uint8_t encoded[DTLS_SESSION_ENCODED_MAX], sealed[ROOM], opened[DTLS_SESSION_ENCODED_MAX];
	struct writer e = writer_of(encoded, sizeof(encoded)), s = writer_of(sealed, sizeof(sealed)),
		      o = writer_of(opened, sizeof(opened));
	struct dtls_session moved;

	dtls_session_encode(&b->session, true, &e);
	vault_seal(&b->vault, &place, writer_span(&e), &s);
	return vault_open(&b->vault, &place, writer_span(&s), &o) == 0 &&
	       dtls_session_decode(writer_span(&o), &moved) == 0;
}

static bool chacha_seal(struct record_bench *b)
{
	struct chacha_poly1305_ctx ctx;

	chacha_poly1305_set_key(&ctx, vault_key);
	chacha_poly1305_set_nonce(&ctx, b->nonce);
	chacha_poly1305_encrypt(&ctx, MOVED, b->out, b->text);
	chacha_poly1305_digest(&ctx, CHACHA_POLY1305_DIGEST_SIZE, b->out + MOVED);
	return true;
}

static const struct {
	const char *name;
	measured *run;
} measurements[] = {
	{"record_seal_ns", record_seal}, {"nettle_seal_ns", nettle_seal},   {"record_open_ns", record_open},
	{"nettle_open_ns", nettle_open}, {"session_move_ns", session_move}, {"chacha_seal_ns", chacha_seal},
};

/* Of the record with number 0 (RFC 9146, 5). */
static void set_floor(struct record_bench *b)
{
	struct writer w = writer_of(b->aad, sizeof(b->aad));

	writer_u64(&w, UINT64_MAX);
	writer_u24(&w, DTLS_TLS12_CID << 16 | DTLS_CID_OWN << 8 | DTLS_TLS12_CID);
	writer_u16(&w, DTLS_VERSION);
	writer_u64(&w, (uint64_t)DTLS_EPOCH << 48);
	writer_bytes(&w, span_of(cid, sizeof(cid)));
	writer_u16(&w, TEXT);
	w = writer_of(b->nonce, sizeof(b->nonce));
	writer_bytes(&w, span_of(b->secret.iv, DTLS_IV));
	writer_u64(&w, (uint64_t)DTLS_EPOCH << 48);
}

/* Both make the same bytes, else they could not be compared. */
static bool set_up(struct record_bench *b)
{
	const struct vault_key key = {{1, 2}};
	struct reader r;

	memset(b->secret.key, 0x2a, sizeof(b->secret.key));
	memset(b->text, 'x', sizeof(b->text));
	b->text[CONTENT] = DTLS_APPLICATION_DATA;
	set_floor(b);
	record_seal(b);
	memcpy(b->bytes, b->out, sizeof(b->bytes));
	r = reader_of(span_of(b->bytes, DTLS_HEADER + sizeof(cid) + DTLS_EXPLICIT + TEXT + TAG));
	if (dtls_record_parse(&r, sizeof(cid), &b->record) < 0)
		return false;
	nettle_seal(b);
	b->session = (struct dtls_session){.peer = {.ip = {192, 0, 2, 7}, .port = 56830, .family = 4},
					   .write_seq = 1000,
					   .suite = 0xC0A8,
					   .aead = DTLS_AES_128_CCM_8,
					   .read_any = true,
					   .read_top = 1000,
					   .read_window = UINT64_MAX,
					   .own_cid_len = DTLS_CID_OWN,
					   .peer_cid_len = DTLS_CID_OWN,
					   .read = b->secret,
					   .write = b->secret};
	vault_init(&b->vault, &key, 1, 1, cid);
	return memcmp(b->out, b->record.fragment.data + DTLS_EXPLICIT, TEXT + TAG) == 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Nanoseconds for one; 0 if it went wrong. */
static double measure(struct record_bench *b, size_t which)
{
	uint64_t began = cpu_ns();
	bool good = true;

	for (unsigned i = 0; i < REPEATS; i++)
		good = measurements[which].run(b) && good;
	return good ? (double)(cpu_ns() - began) / REPEATS : 0;
}

int main(void)
{
	double best[ARRAY_SIZE(measurements)] = {0};
	struct record_bench b = {0};
	bool good = set_up(&b);

	for (unsigned round = 0; round < ROUNDS && good; round++)
		for (size_t i = 0; i < ARRAY_SIZE(measurements) && good; i++) {
			double took = measure(&b, i);

			good = took > 0;
			if (round == 0 || took < best[i])
				best[i] = took;
		}
	if (!good) {
		fprintf(stderr, "bench-record: it went wrong\n");
		return 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(measurements); i++)
		printf("%s %.1f\n", measurements[i].name, best[i]);
	vault_deinit(&b.vault);
	return 0;
}
