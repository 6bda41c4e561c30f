/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Changes of credentials. A change touches two or three documents, and the store has no transaction over
 * documents. The hard idea is the order, so that a crash at any point leaves nothing that works without being
 * listed (a listed one that does not work is an annoyance, the other way round is a hole):
 *
 *   put     list old and new; claim the identity or key (refused: the old list again); take what is no longer
 *           valid; list the new alone
 *   delete  take identities and keys; then the list
 *   used    take the others; list the used one alone; mark it as used
 *
 * A claim is made if-absent, so two endpoints never share an identity; one that a crash left behind is ours
 * again at the next put. An identity is taken only after it was read to be ours. Lists are compared by
 * version, so two nodes that change one endpoint at the same time do not mix; within a node changes of one
 * endpoint wait for each other.
 */

#include "security/credentials_private.h"

#include <errno.h>
#include <nettle/hmac.h>
#include <nettle/sha2.h>

enum change_kind { CHANGE_PUT, CHANGE_DELETE, CHANGE_USED };

struct change {
	struct list node;
	struct credentials *c;
	enum change_kind kind;
	bool running;
	bool repairing; /* a crash left a longer list: it is cut first */
	credentials_done *done;
	void *ctx;
	struct span endpoint; /* in endpoint_bytes */
	uint8_t endpoint_bytes[CREDENTIAL_ENDPOINT_MAX];
	struct credential_entry entry;	 /* what is put, or was used */
	uint8_t key[CREDENTIAL_KEY_MAX]; /* of a PSK that is put */
	size_t key_len;
	bool rotate;
	struct credential_list old, wanted;
	size_t listed;	  /* how many the stored list has */
	uint64_t version; /* of the stored list; 0: there is none */
	size_t at;	  /* in `old`: what is looked at next */
	int failure;	  /* why it is rolled back */
};

/* ---- pure parts ---- */

void credential_hash_spki(struct span spki, uint8_t out[CREDENTIAL_HASH])
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, spki.len, spki.data);
	sha256_digest(&ctx, CREDENTIAL_HASH, out);
}

/* Keyed, so that a fingerprint does not help whoever tries keys from a dictionary. */
static void fingerprint_psk(const struct vault *v, struct span key, uint8_t out[CREDENTIAL_FINGERPRINT])
{
	uint8_t secret[VAULT_DERIVED];
	struct hmac_sha256_ctx ctx;

	vault_derive(v, "psk fingerprint", 0, secret);
	hmac_sha256_set_key(&ctx, sizeof(secret), secret);
	hmac_sha256_update(&ctx, key.len, key.data);
	hmac_sha256_digest(&ctx, CREDENTIAL_FINGERPRINT, out);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(&ctx, sizeof(ctx));
}

static struct vault_place place_of(struct span identity)
{
	return (struct vault_place){.kind = VAULT_PSK, .role = STORE_MANAGEMENT, .name = identity};
}

void credential_seal(struct vault *v, struct span identity, struct span endpoint, struct span key,
		     struct writer *w)
{
	const struct vault_place place = place_of(identity);
	uint8_t plain[CREDENTIAL_OPENED_MAX];
	struct writer p = writer_of(plain, sizeof(plain));

	writer_span16(&p, endpoint);
	writer_bytes(&p, key);
	assert(!p.failed);
	vault_seal(v, &place, writer_span(&p), w);
	explicit_bzero(plain, sizeof(plain));
}

int credential_open(const struct vault *v, struct span identity, const struct credential_owner *owner,
		    uint8_t room[CREDENTIAL_OPENED_MAX], struct span *key)
{
	const struct vault_place place = place_of(identity);
	struct writer w = writer_of(room, CREDENTIAL_OPENED_MAX);
	int err = vault_open(v, &place, owner->sealed, &w);
	struct reader r = reader_of(writer_span(&w));
	struct span endpoint;

	if (err)
		return err;
	endpoint = reader_span16(&r);
	*key = reader_rest(&r);
	if (r.failed || !span_equal(endpoint, owner->endpoint) || !key->len || key->len > CREDENTIAL_KEY_MAX)
		return -EBADMSG;
	return 0;
}

const char *credential_check(const struct credential *k)
{
	if (!k->endpoint.len || k->endpoint.len > CREDENTIAL_ENDPOINT_MAX)
		return "an endpoint has 1 to 255 bytes";
	switch (k->mode) {
	case CREDENTIAL_PSK:
		if (!k->identity.len || k->identity.len > CREDENTIAL_IDENTITY_MAX)
			return "an identity has 1 to 128 bytes";
		if (!k->key.len || k->key.len > CREDENTIAL_KEY_MAX)
			return "a pre-shared key has 1 to 64 bytes";
		return NULL;
	case CREDENTIAL_RAW_KEY:
		if (!k->key.len || k->key.len > CREDENTIAL_SPKI_MAX)
			return "a raw public key is a SubjectPublicKeyInfo of at most 1024 bytes";
		return NULL;
	case CREDENTIAL_X509:
		return NULL;
	}
	return "the mode is none of psk, rpk, x509";
}

const char *credentials_words(int result)
{
	switch (result) {
	case CREDENTIALS_ABSENT:
		return "there is no such credential";
	case CREDENTIALS_IN_USE:
		return "the identity, or the key, is in use by another endpoint";
	case CREDENTIALS_NOT_NEW:
		return "to rotate takes another identity, or another raw key, than the one that is valid";
	case CREDENTIALS_CONFLICT:
		return "another node changes this endpoint's credentials at this moment";
	}
	return "the credential could not be stored";
}

/* ---- life of a change ---- */

static void begin_waiting(struct credentials *c, struct span endpoint);

/* True if there are any. */
static bool tell_gone(const struct change *ch)
{
	struct credential_entry gone[CREDENTIAL_ENTRIES];
	size_t count = 0;

	for (size_t i = 0; i < ch->old.count; i++) {
		const struct credential_entry *before = &ch->old.items[i];
		const struct credential_entry *now = credential_list_find(&ch->wanted, before);

		if (!now || memcmp(now->fingerprint, before->fingerprint, CREDENTIAL_FINGERPRINT))
			gone[count++] = *before;
	}
	if (count)
		credentials_lookups_renew(ch->c, ch->endpoint, gone, count);
	if (count && ch->c->changed)
		ch->c->changed(ch->c->changed_ctx, ch->endpoint, gone, count);
	return count > 0;
}

static void change_free(struct change *ch)
{
	explicit_bzero(ch, sizeof(*ch));
	free(ch);
}

static void finish(struct change *ch, int result)
{
	struct credentials *c = ch->c;
	uint8_t bytes[CREDENTIAL_ENDPOINT_MAX];
	struct span endpoint = span_of(bytes, ch->endpoint.len);

	memcpy(bytes, ch->endpoint.data, ch->endpoint.len);
	if (result == CREDENTIALS_DONE)
		(void)tell_gone(ch);
	list_remove(&ch->node);
	c->change_count--;
	if (ch->done)
		ch->done(ch->ctx, result);
	change_free(ch);
	begin_waiting(c, endpoint);
}

static void finish_done(struct change *ch)
{
	finish(ch, CREDENTIALS_DONE);
}

static bool is_owner(const struct change *ch, struct span body)
{
	struct credential_owner owner;

	return credential_owner_decode(body, &owner) == 0 && span_equal(owner.endpoint, ch->endpoint);
}

/* ---- writing the list ---- */

static store_document_fn on_listed_all, on_listed_final, on_unlisted, on_rolled_back;

static int put_list(struct change *ch, const struct credential_list *l, store_document_fn *next)
{
	uint8_t bytes[CREDENTIAL_LIST_BYTES];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct credential_name n;

	credential_list_encode(l, &w);
	assert(!w.failed);
	ch->listed = l->count;
	return store_document_put(ch->c->store, STORE_CREDENTIAL, credential_name_endpoint(&n, ch->endpoint),
				  writer_span(&w), ch->version, next, ch);
}

static int drop_list(struct change *ch, store_document_fn *next)
{
	struct credential_name n;

	return store_document_delete(ch->c->store, STORE_CREDENTIAL,
				     credential_name_endpoint(&n, ch->endpoint), next, ch);
}

/* True: go on. Else the change has ended. */
static bool list_written(struct change *ch, int result, uint64_t version)
{
	if (result == STORE_DONE) {
		ch->version = version;
		return true;
	}
	finish(ch, result < 0 ? result : CREDENTIALS_CONFLICT);
	return false;
}

/* ---- what was claimed in vain goes off the list again ---- */

static void on_rolled_back(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct change *ch = ctx;

	(void)result;
	(void)name;
	(void)body;
	(void)version;
	finish(ch, ch->failure);
}

static void roll_back(struct change *ch, int failure)
{
	int err;

	ch->failure = failure;
	err = ch->old.count ? put_list(ch, &ch->old, on_rolled_back) : drop_list(ch, on_rolled_back);
	if (err)
		finish(ch, failure);
}

/* ---- used: the claim is no longer fresh ---- */

static void on_marked(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	(void)name;
	(void)body;
	(void)version;
	/* Refused: somebody changed it meanwhile, and then it is as it shall be. */
	finish(ctx, result < 0 ? result : CREDENTIALS_DONE);
}

static void on_claim_read(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct change *ch = ctx;
	uint8_t bytes[CREDENTIAL_OWNER_BYTES];
	struct writer w = writer_of(bytes, sizeof(bytes));
	struct credential_owner owner;
	int err;

	if (result != STORE_DONE || !is_owner(ch, body) || credential_owner_decode(body, &owner) ||
	    !owner.fresh) {
		finish(ch, result < 0 ? result : CREDENTIALS_DONE);
		return;
	}
	owner.fresh = false;
	credential_owner_encode(&owner, &w);
	assert(!w.failed);
	err = store_document_put(ch->c->store, STORE_CREDENTIAL, name, writer_span(&w), version, on_marked,
				 ch);
	if (err)
		finish(ch, err);
}

static void mark_used(struct change *ch)
{
	struct credential_name n;
	struct span name = credential_name_claim(&n, &ch->entry);
	int err;

	if (!name.len) {
		finish_done(ch);
		return;
	}
	err = store_document_get(ch->c->store, STORE_CREDENTIAL, name, on_claim_read, ch);
	if (err)
		finish(ch, err);
}

/* ---- taking what is no longer valid ---- */

static void begin(struct change *ch);
static void sweep(struct change *ch);

static void listed_final(struct change *ch)
{
	if (ch->repairing)
		begin(ch);
	else if (ch->kind == CHANGE_USED)
		mark_used(ch);
	else
		finish_done(ch);
}

static void on_listed_final(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	(void)name;
	(void)body;
	if (list_written(ctx, result, version))
		listed_final(ctx);
}

static void on_unlisted(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	(void)name;
	(void)body;
	(void)version;
	finish(ctx, result < 0 ? result : CREDENTIALS_DONE);
}

/*
 * Whoever ends the sessions of what goes does that by writes of its own. They are begun before the last one
 * here, so that they are stored when that is, and whatever dies after the answer, no session comes back. It
 * is told again at the end, for handshakes that were complete in between.
 */
static void list_final(struct change *ch)
{
	bool gone = !ch->repairing && tell_gone(ch);
	int err = 0;

	if (!ch->wanted.count)
		err = drop_list(ch, on_unlisted);
	else if (ch->kind == CHANGE_PUT && !ch->repairing && !gone && ch->listed == ch->wanted.count)
		finish_done(ch);
	else
		err = put_list(ch, &ch->wanted, on_listed_final);
	if (err)
		finish(ch, err);
}

static void on_swept(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct change *ch = ctx;

	(void)name;
	(void)body;
	(void)version;
	if (result < 0) {
		finish(ch, result);
		return;
	}
	ch->at++;
	sweep(ch);
}

static void on_sweep_found(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct change *ch = ctx;
	int err = result < 0 ? result : 0;

	(void)version;
	if (!err && result == STORE_DONE && is_owner(ch, body)) {
		err = store_document_delete(ch->c->store, STORE_CREDENTIAL, name, on_swept, ch);
	} else if (!err) {
		ch->at++;
		sweep(ch);
	}
	if (err)
		finish(ch, err);
}

/* Looks for the next one that goes, from ch->at on. */
static void sweep(struct change *ch)
{
	struct credential_name n;
	struct span name = {NULL, 0};
	int err;

	for (; ch->at < ch->old.count; ch->at++) {
		if (credential_list_find(&ch->wanted, &ch->old.items[ch->at]))
			continue;
		name = credential_name_claim(&n, &ch->old.items[ch->at]);
		if (name.len)
			break;
	}
	if (ch->at == ch->old.count) {
		list_final(ch);
		return;
	}
	err = store_document_get(ch->c->store, STORE_CREDENTIAL, name, on_sweep_found, ch);
	if (err)
		finish(ch, err);
}

/* ---- claiming ---- */

static int put_claim(struct change *ch, uint64_t expected, store_document_fn *next)
{
	uint8_t bytes[CREDENTIAL_OWNER_BYTES], sealed[CREDENTIAL_SEALED_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes)), s = writer_of(sealed, sizeof(sealed));
	struct credential_owner owner = {.endpoint = ch->endpoint};
	const struct credential_entry *e = credential_list_find(&ch->wanted, &ch->entry);
	struct credential_name n;

	assert(e);
	owner.fresh = e->fresh;
	if (e->mode == CREDENTIAL_PSK)
		credential_seal(ch->c->vault, credential_id(e), ch->endpoint, span_of(ch->key, ch->key_len),
				&s);
	owner.sealed = writer_span(&s);
	credential_owner_encode(&owner, &w);
	assert(!s.failed && !w.failed);
	return store_document_put(ch->c->store, STORE_CREDENTIAL, credential_name_claim(&n, e),
				  writer_span(&w), expected, next, ch);
}

static void on_claimed_again(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct change *ch = ctx;

	(void)name;
	(void)body;
	(void)version;
	if (result == STORE_DONE)
		sweep(ch);
	else
		roll_back(ch, result < 0 ? result : CREDENTIALS_CONFLICT);
}

static void on_claimed(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct change *ch = ctx;
	int err;

	(void)name;
	if (result == STORE_DONE) {
		sweep(ch);
	} else if (result < 0) {
		roll_back(ch, result);
	} else if (!is_owner(ch, body)) {
		roll_back(ch, CREDENTIALS_IN_USE);
	} else {
		err = put_claim(ch, version, on_claimed_again);
		if (err)
			roll_back(ch, err);
	}
}

static void on_listed_all(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct change *ch = ctx;
	int err;

	(void)name;
	(void)body;
	if (!list_written(ch, result, version))
		return;
	if (ch->entry.mode == CREDENTIAL_X509) {
		sweep(ch);
		return;
	}
	err = put_claim(ch, 0, on_claimed);
	if (err)
		roll_back(ch, err);
}

/* ---- planning ---- */

static int plan_put(struct change *ch)
{
	struct credential_list *wanted = &ch->wanted;
	struct credential_list all;

	if (ch->rotate && ch->old.count) {
		if (credential_same(&ch->old.items[0], &ch->entry))
			return CREDENTIALS_NOT_NEW;
		wanted->items[wanted->count] = ch->old.items[0];
		wanted->items[wanted->count++].fresh = false;
		ch->entry.fresh = true;
	}
	wanted->items[wanted->count++] = ch->entry;
	all = *wanted;
	for (size_t i = 0; i < ch->old.count; i++) {
		if (!credential_list_find(wanted, &ch->old.items[i]))
			all.items[all.count++] = ch->old.items[i];
	}
	return put_list(ch, &all, on_listed_all);
}

/* < 0, or an outcome that ends it; 0: it goes on. */
static int plan(struct change *ch)
{
	const struct credential_entry *used;

	ch->at = 0;
	ch->wanted = (struct credential_list){0};
	ch->repairing = ch->kind == CHANGE_PUT && ch->old.count > 2;
	if (ch->repairing) {
		ch->wanted.items[ch->wanted.count++] = ch->old.items[0];
		sweep(ch);
		return 0;
	}
	if (ch->kind == CHANGE_PUT)
		return plan_put(ch);
	if (!ch->old.count)
		return CREDENTIALS_ABSENT;
	if (ch->kind == CHANGE_USED) {
		used = credential_list_find(&ch->old, &ch->entry);
		if (!used)
			return CREDENTIALS_ABSENT;
		ch->wanted.items[ch->wanted.count] = *used;
		ch->wanted.items[ch->wanted.count++].fresh = false;
	}
	sweep(ch);
	return 0;
}

static void on_current(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct change *ch = ctx;
	int end = result < 0 ? result : 0;

	(void)name;
	ch->old = (struct credential_list){0};
	ch->version = version;
	if (result == STORE_DONE)
		end = credential_list_decode(body, &ch->old);
	if (!end)
		end = plan(ch);
	if (end)
		finish(ch, end);
}

static int read_current(struct change *ch)
{
	struct credential_name n;

	ch->running = true;
	return store_document_get(ch->c->store, STORE_CREDENTIAL, credential_name_endpoint(&n, ch->endpoint),
				  on_current, ch);
}

static void begin(struct change *ch)
{
	int err = read_current(ch);

	if (err)
		finish(ch, err);
}

/* ---- calls ---- */

static struct change *first_of(struct credentials *c, struct span endpoint)
{
	list_for_each (node, &c->changes) {
		struct change *ch = container_of(node, struct change, node);

		if (span_equal(ch->endpoint, endpoint))
			return ch;
	}
	return NULL;
}

static void begin_waiting(struct credentials *c, struct span endpoint)
{
	struct change *next = first_of(c, endpoint);

	if (next && !next->running)
		begin(next);
}

static struct change *change_new(struct credentials *c, enum change_kind kind, struct span endpoint,
				 credentials_done *done, void *ctx)
{
	struct change *ch = c->change_count < CREDENTIALS_CHANGES_MAX ? calloc(1, sizeof(*ch)) : NULL;

	if (!ch)
		return NULL;
	*ch = (struct change){.c = c, .kind = kind, .done = done, .ctx = ctx};
	memcpy(ch->endpoint_bytes, endpoint.data, endpoint.len);
	ch->endpoint = span_of(ch->endpoint_bytes, endpoint.len);
	return ch;
}

static int change_start(struct change *ch)
{
	struct credentials *c = ch->c;
	int err = first_of(c, ch->endpoint) ? 0 : read_current(ch);

	if (err) {
		change_free(ch);
		return err;
	}
	list_append(&c->changes, &ch->node);
	c->change_count++;
	return 0;
}

static void set_entry(struct change *ch, enum credential_mode mode, struct span identity_or_spki)
{
	struct credential_entry *e = &ch->entry;

	e->mode = (uint8_t)mode;
	if (mode == CREDENTIAL_PSK) {
		e->id_len = (uint8_t)identity_or_spki.len;
		memcpy(e->id, identity_or_spki.data, identity_or_spki.len);
	} else if (mode == CREDENTIAL_RAW_KEY) {
		e->id_len = CREDENTIAL_HASH;
		credential_hash_spki(identity_or_spki, e->id);
		memcpy(e->fingerprint, e->id, CREDENTIAL_FINGERPRINT);
	}
}

int credentials_put(struct credentials *c, const struct credential *k, credentials_done *done, void *ctx)
{
	struct change *ch;

	if (credential_check(k))
		return -EINVAL;
	ch = change_new(c, CHANGE_PUT, k->endpoint, done, ctx);
	if (!ch)
		return -ENOBUFS;
	c->any = c->any_seen = true;
	ch->rotate = k->rotate;
	set_entry(ch, k->mode, k->mode == CREDENTIAL_PSK ? k->identity : k->key);
	if (k->mode == CREDENTIAL_PSK) {
		ch->key_len = k->key.len;
		memcpy(ch->key, k->key.data, k->key.len);
		fingerprint_psk(c->vault, k->key, ch->entry.fingerprint);
	}
	return change_start(ch);
}

int credentials_delete(struct credentials *c, struct span endpoint, credentials_done *done, void *ctx)
{
	struct change *ch;

	if (!endpoint.len || endpoint.len > CREDENTIAL_ENDPOINT_MAX)
		return -EINVAL;
	ch = change_new(c, CHANGE_DELETE, endpoint, done, ctx);
	return ch ? change_start(ch) : -ENOBUFS;
}

int credentials_used(struct credentials *c, struct span endpoint, enum credential_mode mode,
		     struct span identity_or_spki, credentials_done *done, void *ctx)
{
	struct change *ch;

	if (!endpoint.len || endpoint.len > CREDENTIAL_ENDPOINT_MAX ||
	    (mode == CREDENTIAL_PSK && identity_or_spki.len > CREDENTIAL_IDENTITY_MAX))
		return -EINVAL;
	ch = change_new(c, CHANGE_USED, endpoint, done, ctx);
	if (!ch)
		return -ENOBUFS;
	set_entry(ch, mode, identity_or_spki);
	return change_start(ch);
}

static void on_any(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct credentials *c = ctx;

	(void)name;
	(void)body;
	(void)version;
	if (result == STORE_DONE)
		c->any_seen = true;
	else if (result == STORE_ABSENT)
		c->any = c->any_seen;
}

bool credentials_any(const struct credentials *c)
{
	return c->any;
}

struct credentials *credentials_new(struct store *store, struct vault *vault, credentials_changed *changed,
				    void *ctx)
{
	struct credentials *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return NULL;
	*c = (struct credentials){.store = store, .vault = vault, .changed = changed, .changed_ctx = ctx};
	list_init(&c->changes);
	list_init(&c->lookups);
	list_init(&c->modes);
	/* Until it is known, and if it cannot be known, there may be some. */
	c->any = true;
	err = store_document_list(store, STORE_CREDENTIAL, span_of(NULL, 0), 1, on_any, c);
	(void)err;
	return c;
}

struct credentials *credentials_free(struct credentials *c)
{
	assert(!c || !c->change_count);
	free(c);
	return NULL;
}
