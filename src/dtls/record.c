/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The record layer: from a datagram to records, from a record to its content, and back.
 *
 * The hard idea is that a record with a connection id is another record than one without, all the way down.
 * On the wire its type is 25, its content is followed by the real type (and zeroes that hide its length), and
 * what is authenticated besides is not the header but an image of it that no header without connection id can
 * be mistaken for (RFC 9146, 5):
 *
 *   plain:  epoch 2, seq 6 | type 1 | version 2 | length of the content 2                            13 bytes
 *   cid:    FF * 8 | 25 | length of the cid 1 | 25 | version 2 | epoch 2, seq 6 | cid n | length of content,
 *           type and zeroes 2                                                                   23 + n bytes
 *
 * The nonce is 4 secret bytes and the 8 that lead the fragment. We make these of epoch and number, but that
 * is our choice; a peer's may be anything, so opening takes them from the record.
 *
 * The schedule of a key is made for each record, on the stack, and wiped: with AES in hardware it costs less
 * than the cache line misses of one kept for each of a million devices. Leaves out replays (session.h) and
 * all that is negotiated.
 */

#include "dtls/record.h"

#include <errno.h>
#include <nettle/ccm.h>
#include <nettle/gcm.h>
#include <nettle/memops.h>

enum { NONCE = DTLS_IV + DTLS_EXPLICIT, AAD_MAX = 23 + DTLS_CID_MAX, SEQ_BITS = 48 };

_Static_assert(NONCE == GCM_IV_SIZE && DTLS_TAG_MAX == GCM_DIGEST_SIZE, "nettle's GCM is that of TLS");

/* What goes into one AEAD operation besides the text. */
struct input {
	const uint8_t *key;
	size_t tag_len;
	uint8_t nonce[NONCE];
	uint8_t aad[AAD_MAX];
	size_t aad_len;
};

/* ---- the AEADs: `text` is sealed in place, with the tag behind it; opened from `in` to `out` ---- */

typedef void seal_fn(const struct input *i, uint8_t *text, size_t len);
typedef bool open_fn(const struct input *i, uint8_t *out, const uint8_t *in, size_t len);

#define DEFINE_CCM(bits)                                                                                 \
	static void ccm##bits##_seal(const struct input *i, uint8_t *text, size_t len)                   \
	{                                                                                                \
		struct ccm_aes##bits##_ctx ctx;                                                          \
                                                                                                         \
		ccm_aes##bits##_set_key(&ctx, i->key);                                                   \
		ccm_aes##bits##_encrypt_message(&ctx, NONCE, i->nonce, i->aad_len, i->aad, i->tag_len,   \
						len + i->tag_len, text, text);                           \
		explicit_bzero(&ctx, sizeof(ctx));                                                       \
	}                                                                                                \
                                                                                                         \
	static bool ccm##bits##_open(const struct input *i, uint8_t *out, const uint8_t *in, size_t len) \
	{                                                                                                \
		struct ccm_aes##bits##_ctx ctx;                                                          \
		int good;                                                                                \
                                                                                                         \
		ccm_aes##bits##_set_key(&ctx, i->key);                                                   \
		good = ccm_aes##bits##_decrypt_message(&ctx, NONCE, i->nonce, i->aad_len, i->aad,        \
						       i->tag_len, len, out, in);                        \
		explicit_bzero(&ctx, sizeof(ctx));                                                       \
		return good;                                                                             \
	}

#define DEFINE_GCM(bits)                                                                                 \
	static void gcm##bits##_start(struct gcm_aes##bits##_ctx *ctx, const struct input *i)            \
	{                                                                                                \
		gcm_aes##bits##_set_key(ctx, i->key);                                                    \
		gcm_aes##bits##_set_iv(ctx, NONCE, i->nonce);                                            \
		gcm_aes##bits##_update(ctx, i->aad_len, i->aad);                                         \
	}                                                                                                \
                                                                                                         \
	static void gcm##bits##_seal(const struct input *i, uint8_t *text, size_t len)                   \
	{                                                                                                \
		struct gcm_aes##bits##_ctx ctx;                                                          \
                                                                                                         \
		gcm##bits##_start(&ctx, i);                                                              \
		gcm_aes##bits##_encrypt(&ctx, len, text, text);                                          \
		gcm_aes##bits##_digest(&ctx, i->tag_len, text + len);                                    \
		explicit_bzero(&ctx, sizeof(ctx));                                                       \
	}                                                                                                \
                                                                                                         \
	static bool gcm##bits##_open(const struct input *i, uint8_t *out, const uint8_t *in, size_t len) \
	{                                                                                                \
		struct gcm_aes##bits##_ctx ctx;                                                          \
		uint8_t tag[GCM_DIGEST_SIZE];                                                            \
                                                                                                         \
		gcm##bits##_start(&ctx, i);                                                              \
		gcm_aes##bits##_decrypt(&ctx, len, out, in);                                             \
		gcm_aes##bits##_digest(&ctx, i->tag_len, tag);                                           \
		explicit_bzero(&ctx, sizeof(ctx));                                                       \
		return memeql_sec(tag, in + len, i->tag_len);                                            \
	}

DEFINE_CCM(128)
DEFINE_CCM(256)
DEFINE_GCM(128)
DEFINE_GCM(256)

static const struct {
	seal_fn *seal;
	open_fn *open;
} functions[DTLS_AEAD_COUNT] = {
	[DTLS_AES_128_CCM_8] = {ccm128_seal, ccm128_open}, [DTLS_AES_128_CCM] = {ccm128_seal, ccm128_open},
	[DTLS_AES_128_GCM] = {gcm128_seal, gcm128_open},   [DTLS_AES_256_CCM_8] = {ccm256_seal, ccm256_open},
	[DTLS_AES_256_CCM] = {ccm256_seal, ccm256_open},   [DTLS_AES_256_GCM] = {gcm256_seal, gcm256_open},
};

/* ---- records ---- */

int dtls_record_parse(struct reader *datagram, size_t cid_len, struct dtls_record *out)
{
	struct reader r = *datagram; /* a copy that stays in registers */
	size_t len;

	assert(cid_len <= DTLS_CID_MAX);
	if (!r.failed && reader_left(&r) == 0)
		return -ENODATA;
	out->type = reader_u8(&r);
	out->version = reader_u16(&r);
	out->epoch = reader_u16(&r);
	out->seq = (uint64_t)reader_u16(&r) << 32;
	out->seq |= reader_u32(&r);
	out->cid = reader_bytes(&r, out->type == DTLS_TLS12_CID ? cid_len : 0);
	len = reader_u16(&r);
	out->fragment = reader_bytes(&r, len);
	if (r.failed || len > DTLS_FRAGMENT_MAX) {
		datagram->failed = true;
		return -EBADMSG;
	}
	out->whole = span_of(datagram->pos, (size_t)(r.pos - datagram->pos));
	datagram->pos = r.pos;
	return 0;
}

/* Of a record whose protected text, with type and zeroes if it has them, is `len` bytes long. */
static void set_aad(struct input *i, const struct dtls_record *r, size_t len)
{
	struct writer w = writer_of(i->aad, sizeof(i->aad));
	uint64_t number = (uint64_t)r->epoch << SEQ_BITS | r->seq;

	if (r->type == DTLS_TLS12_CID) {
		writer_u64(&w, UINT64_MAX);
		writer_u8(&w, DTLS_TLS12_CID);
		writer_u8(&w, (uint8_t)r->cid.len);
		writer_u8(&w, DTLS_TLS12_CID);
		writer_u16(&w, r->version);
		writer_u64(&w, number);
		writer_bytes(&w, r->cid);
	} else {
		writer_u64(&w, number);
		writer_u8(&w, r->type);
		writer_u16(&w, r->version);
	}
	writer_u16(&w, (uint16_t)len);
	assert(!w.failed);
	i->aad_len = writer_len(&w);
}

static void set_nonce(struct input *i, const struct dtls_secret *secret, const uint8_t *explicit_part)
{
	memcpy(i->nonce, secret->iv, DTLS_IV);
	memcpy(i->nonce + DTLS_IV, explicit_part, DTLS_EXPLICIT);
}

/* The header, up to and with the length of the fragment. */
static void write_header(struct writer *w, const struct dtls_record *r, size_t fragment_len)
{
	writer_u8(w, r->type);
	writer_u16(w, r->version);
	writer_u64(w, (uint64_t)r->epoch << SEQ_BITS | r->seq);
	writer_bytes(w, r->cid);
	writer_u16(w, (uint16_t)fragment_len);
}

void dtls_seal(struct writer *w, enum dtls_aead aead, const struct dtls_secret *secret, struct span cid,
	       uint16_t epoch, uint64_t seq, uint8_t type, struct span plaintext)
{
	struct dtls_record r = {.type = cid.len ? DTLS_TLS12_CID : type,
				.version = DTLS_VERSION,
				.epoch = epoch,
				.seq = seq,
				.cid = cid};
	struct input i = {.key = secret->key, .tag_len = dtls_tag_len(aead)};
	size_t text_len = plaintext.len + (cid.len ? 1 : 0);
	size_t fragment_len = DTLS_EXPLICIT + text_len + i.tag_len;
	uint8_t *at;

	assert(cid.len <= DTLS_CID_MAX && seq >> SEQ_BITS == 0 && type);
	if (plaintext.len > DTLS_PLAINTEXT_MAX ||
	    DTLS_HEADER + cid.len + fragment_len > (size_t)(w->end - w->pos))
		w->failed = true;
	if (w->failed)
		return;
	write_header(w, &r, fragment_len);
	writer_u64(w, (uint64_t)epoch << SEQ_BITS | seq);
	set_nonce(&i, secret, w->pos - DTLS_EXPLICIT);
	set_aad(&i, &r, text_len);
	at = writer_extend(w, text_len + i.tag_len);
	if (plaintext.len)
		memcpy(at, plaintext.data, plaintext.len);
	if (cid.len)
		at[plaintext.len] = type;
	functions[aead].seal(&i, at, text_len);
	/* The implicit half of the nonce is a secret as the key is. */
	explicit_bzero(i.nonce, sizeof(i.nonce));
}

/* Takes the type and the zeroes from the end of what a tls12_cid record hides. */
static bool take_type(uint8_t *text, size_t *len, uint8_t *type)
{
	size_t end = *len;

	while (end && text[end - 1] == 0)
		end--;
	if (end == 0)
		return false;
	*type = text[end - 1];
	*len = end - 1;
	return true;
}

int dtls_open(enum dtls_aead aead, const struct dtls_secret *secret, const struct dtls_record *r,
	      uint8_t *out, struct span *plaintext, uint8_t *type)
{
	struct input i = {.key = secret->key, .tag_len = dtls_tag_len(aead)};
	size_t text_len, len;
	bool good;

	assert(r->cid.len <= DTLS_CID_MAX);
	if (r->fragment.len < DTLS_EXPLICIT + i.tag_len || r->fragment.len > DTLS_FRAGMENT_MAX)
		return -EBADMSG;
	text_len = len = r->fragment.len - DTLS_EXPLICIT - i.tag_len;
	set_nonce(&i, secret, r->fragment.data);
	set_aad(&i, r, text_len);
	good = functions[aead].open(&i, out, r->fragment.data + DTLS_EXPLICIT, text_len);
	explicit_bzero(i.nonce, sizeof(i.nonce));
	*type = r->type;
	if (good && r->type == DTLS_TLS12_CID)
		good = take_type(out, &len, type);
	if (!good || len > DTLS_PLAINTEXT_MAX) {
		explicit_bzero(out, text_len);
		return -EBADMSG;
	}
	*plaintext = span_of(out, len);
	return 0;
}
