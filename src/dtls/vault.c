/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Secrets at rest. The hard idea, again, is the nonce: all nodes seal under one cluster key, none asks
 * another which nonces are used, and a process that restarts has forgotten its own. So each vault seals under
 * a key that nobody else seals with,
 *
 *   PRK      = HKDF-Extract("shoal vault 1", cluster key)
 *   key id   = HKDF-Expand(PRK, "id", 4)
 *   seal key = HKDF-Expand(PRK, "seal" | node 4 | incarnation 8 | salt 8, 32)
 *   derived  = HKDF-Expand(PRK, "derive" | period 8 | label, 32)
 *
 * and there a counter is enough. Node and incarnation are unique as long as the store is right; the salt,
 * which is random, holds when it is not, and keeps two vaults of one process apart. Whoever opens derives the
 * same key from what leads the sealed bytes:
 *
 *   version 1 | key id 4 | node 4 | incarnation 8 | salt 8 | counter 8 | ciphertext | tag 16
 *
 * Authenticated besides: all that leads, kind, role, and name. ChaCha20-Poly1305 has no key schedule and no
 * tables, so a key of its own for each opening costs a hash and no more. Leaves out where keys come from
 * (files, read by the daemon) and when they change.
 */

#include "dtls/vault.h"

#include <errno.h>
#include <nettle/chacha-poly1305.h>
#include <nettle/hkdf.h>
#include <nettle/memops.h>

enum { VERSION = 1, COUNTER = 8, TAG = CHACHA_POLY1305_DIGEST_SIZE };
enum { LEAD = VAULT_OVERHEAD - TAG, NONCE = CHACHA_POLY1305_NONCE_SIZE };
enum { INFO_MAX = 64, LABEL_MAX = 32 };

_Static_assert(CHACHA_POLY1305_KEY_SIZE == VAULT_SECRET && SHA256_DIGEST_SIZE == VAULT_SECRET, "sizes agree");

/* ---- cluster keys ---- */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool from_hex(struct span text, uint8_t out[VAULT_SECRET])
{
	while (text.len && is_space(text.data[0]))
		text = span_from(text, 1);
	while (text.len && is_space(text.data[text.len - 1]))
		text.len--;
	if (text.len != 2 * VAULT_SECRET)
		return false;
	for (size_t i = 0; i < VAULT_SECRET; i++) {
		int high = hex_digit(text.data[2 * i]), low = hex_digit(text.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

int vault_key_parse(struct span contents, struct vault_key *out)
{
	uint8_t differences = 0;

	if (contents.len == VAULT_SECRET)
		memcpy(out->secret, contents.data, VAULT_SECRET);
	else if (!from_hex(contents, out->secret))
		return -EINVAL;
	for (size_t i = 1; i < VAULT_SECRET; i++)
		differences |= out->secret[i] ^ out->secret[0];
	return differences ? 0 : -EINVAL;
}

/* HKDF-Expand. The keyed context is copied, since hashing with it changes it. */
static void expand(const struct vault_cluster_key *k, struct span info, size_t len, uint8_t *out)
{
	struct hmac_sha256_ctx ctx = k->prk;

	hkdf_expand(&ctx, (nettle_hash_update_func *)hmac_sha256_update,
		    (nettle_hash_digest_func *)hmac_sha256_digest, SHA256_DIGEST_SIZE, info.len, info.data,
		    len, out);
	explicit_bzero(&ctx, sizeof(ctx));
}

static void cluster_key_init(struct vault_cluster_key *k, const struct vault_key *key)
{
	struct span salt = span_str("shoal vault 1");
	struct hmac_sha256_ctx ctx;
	uint8_t prk[SHA256_DIGEST_SIZE];

	hmac_sha256_set_key(&ctx, salt.len, salt.data);
	hkdf_extract(&ctx, (nettle_hash_update_func *)hmac_sha256_update,
		     (nettle_hash_digest_func *)hmac_sha256_digest, SHA256_DIGEST_SIZE, VAULT_SECRET,
		     key->secret, prk);
	hmac_sha256_set_key(&k->prk, sizeof(prk), prk);
	explicit_bzero(prk, sizeof(prk));
	explicit_bzero(&ctx, sizeof(ctx));
	expand(k, span_str("id"), VAULT_KEY_ID, k->id);
}

/* `from`: node, incarnation and salt as they lead the sealed bytes. */
static void derive_seal_key(const struct vault_cluster_key *k, struct span from, uint8_t out[VAULT_SECRET])
{
	uint8_t info[INFO_MAX];
	struct writer w = writer_of(info, sizeof(info));

	writer_str(&w, "seal");
	writer_bytes(&w, from);
	assert(!w.failed);
	expand(k, writer_span(&w), VAULT_SECRET, out);
}

/* ---- vaults ---- */

/* All that leads the ciphertext but the counter. */
static void write_lead(const struct vault *v, struct writer *w)
{
	writer_u8(w, VERSION);
	writer_bytes(w, span_of(v->keys[0].id, VAULT_KEY_ID));
	writer_u32(w, v->node);
	writer_u64(w, v->incarnation);
	writer_bytes(w, span_of(v->salt, VAULT_SALT));
}

void vault_init(struct vault *v, const struct vault_key *current, uint32_t node, uint64_t incarnation,
		const uint8_t salt[VAULT_SALT])
{
	uint8_t lead[LEAD];
	struct writer w = writer_of(lead, sizeof(lead));

	*v = (struct vault){.key_count = 1, .node = node, .incarnation = incarnation};
	memcpy(v->salt, salt, VAULT_SALT);
	cluster_key_init(&v->keys[0], current);
	write_lead(v, &w);
	derive_seal_key(&v->keys[0], span_from(writer_span(&w), 1 + VAULT_KEY_ID), v->seal_key);
}

void vault_deinit(struct vault *v)
{
	explicit_bzero(v, sizeof(*v));
}

int vault_add_key(struct vault *v, const struct vault_key *key)
{
	if (v->key_count == VAULT_KEYS)
		return -ENOSPC;
	cluster_key_init(&v->keys[v->key_count++], key);
	return 0;
}

/* Ready for the text: keyed, with the nonce, and all that is authenticated besides. */
static void start(struct chacha_poly1305_ctx *ctx, const uint8_t key[VAULT_SECRET], const uint8_t *lead,
		  const struct vault_place *place)
{
	uint8_t nonce[NONCE] = {0}, besides[LEAD + 2 + VAULT_NAME_MAX];
	struct writer w = writer_of(besides, sizeof(besides));

	writer_bytes(&w, span_of(lead, LEAD));
	writer_u8(&w, place->kind);
	writer_u8(&w, place->role);
	writer_bytes(&w, place->name);
	assert(!w.failed);
	memcpy(nonce + NONCE - COUNTER, lead + LEAD - COUNTER, COUNTER);
	chacha_poly1305_set_key(ctx, key);
	chacha_poly1305_set_nonce(ctx, nonce);
	chacha_poly1305_update(ctx, writer_len(&w), besides);
}

void vault_seal(struct vault *v, const struct vault_place *place, struct span plaintext, struct writer *w)
{
	struct chacha_poly1305_ctx ctx;
	uint8_t *lead = w->pos, *text;

	assert(v->key_count && v->counter < UINT64_MAX);
	if (plaintext.len > VAULT_PLAINTEXT_MAX || plaintext.len + VAULT_OVERHEAD > (size_t)(w->end - w->pos))
		w->failed = true;
	if (w->failed)
		return;
	write_lead(v, w);
	writer_u64(w, v->counter++);
	text = writer_extend(w, plaintext.len + TAG);
	start(&ctx, v->seal_key, lead, place);
	chacha_poly1305_encrypt(&ctx, plaintext.len, text, plaintext.data);
	chacha_poly1305_digest(&ctx, TAG, text + plaintext.len);
	explicit_bzero(&ctx, sizeof(ctx));
}

/* Of the key with this id, or NULL. */
static const struct vault_cluster_key *find_key(const struct vault *v, struct span id)
{
	for (size_t i = 0; i < v->key_count; i++)
		if (memeql_sec(v->keys[i].id, id.data, VAULT_KEY_ID))
			return &v->keys[i];
	return NULL;
}

bool vault_is_current(const struct vault *v, struct span sealed)
{
	struct reader r = reader_of(sealed);
	uint8_t version = reader_u8(&r);
	struct span id = reader_bytes(&r, VAULT_KEY_ID);

	return version == VERSION && !r.failed && find_key(v, id) == &v->keys[0];
}

static bool open_text(const uint8_t key[VAULT_SECRET], const struct vault_place *place, struct span sealed,
		      uint8_t *out)
{
	struct chacha_poly1305_ctx ctx;
	size_t len = sealed.len - VAULT_OVERHEAD;
	uint8_t tag[TAG];
	bool good;

	start(&ctx, key, sealed.data, place);
	chacha_poly1305_decrypt(&ctx, len, out, sealed.data + LEAD);
	chacha_poly1305_digest(&ctx, TAG, tag);
	explicit_bzero(&ctx, sizeof(ctx));
	good = memeql_sec(tag, sealed.data + LEAD + len, TAG);
	if (!good)
		explicit_bzero(out, len);
	return good;
}

int vault_open(const struct vault *v, const struct vault_place *place, struct span sealed, struct writer *w)
{
	struct reader r = reader_of(sealed);
	uint8_t version = reader_u8(&r), key[VAULT_SECRET];
	struct span id = reader_bytes(&r, VAULT_KEY_ID);
	struct span from = reader_bytes(&r, LEAD - 1 - VAULT_KEY_ID - COUNTER);
	const struct vault_cluster_key *k;
	bool good;

	if (version > VERSION)
		return -EPROTO;
	if (version != VERSION || sealed.len < VAULT_OVERHEAD ||
	    sealed.len - VAULT_OVERHEAD > VAULT_PLAINTEXT_MAX)
		return -EBADMSG;
	k = find_key(v, id);
	if (!k)
		return -ENOKEY;
	if (w->failed || sealed.len - VAULT_OVERHEAD > (size_t)(w->end - w->pos))
		return -EMSGSIZE;
	derive_seal_key(k, from, key);
	good = open_text(key, place, sealed, w->pos);
	explicit_bzero(key, sizeof(key));
	if (!good)
		return -EBADMSG;
	w->pos += sealed.len - VAULT_OVERHEAD;
	return 0;
}

void vault_derive(const struct vault *v, const char *label, uint64_t period, uint8_t out[VAULT_DERIVED])
{
	vault_derive_by(v, 0, label, period, out);
}

void vault_derive_by(const struct vault *v, size_t key, const char *label, uint64_t period,
		     uint8_t out[VAULT_DERIVED])
{
	uint8_t info[INFO_MAX];
	struct writer w = writer_of(info, sizeof(info));

	assert(key < v->key_count && strlen(label) <= LABEL_MAX);
	writer_str(&w, "derive");
	writer_u64(&w, period);
	writer_str(&w, label);
	assert(!w.failed);
	expand(&v->keys[key], writer_span(&w), VAULT_DERIVED, out);
}
