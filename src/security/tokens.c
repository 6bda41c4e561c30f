/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Tokens. A token names itself (its id) besides its secret, so that it is found without comparing secrets;
 * the hash of the secret is then compared in constant time. Nothing here is called often enough for an index.
 *
 * A token is a document of the store, `token:` and its id. What another node makes or revokes is known here
 * when it says so, or at the next refresh.
 */

#include "security/tokens.h"

#include "security/hex.h"

#include <errno.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>

enum { VERSION = 1, NAME_BYTES = 32 };

static const char prefix[] = "shoal_";
static const char document_prefix[] = "token:";

struct tokens {
	struct store *store;
	struct random *random;
	uint64_t (*wall_ms)(void);
	struct list list;
	size_t count;	  /* with those that are being stored */
	unsigned changes; /* made here */
	struct refresh *refresh;
	void (*changed)(void *ctx, struct span name);
	void *changed_ctx;
};

static const char *const roles[] = {
	[TOKEN_NONE] = NULL, [TOKEN_READ] = "read", [TOKEN_OPERATE] = "operate", [TOKEN_ADMIN] = "admin"};

const char *token_role_name(enum token_role role)
{
	return roles[role];
}

enum token_role token_role_named(struct span name)
{
	for (unsigned i = TOKEN_READ; i <= TOKEN_ADMIN; i++) {
		if (span_is(name, roles[i]))
			return (enum token_role)i;
	}
	return TOKEN_NONE;
}

/* ---- documents ---- */

void token_encode(const struct token *t, struct writer *w)
{
	writer_u8(w, VERSION);
	writer_u8(w, (uint8_t)t->role);
	writer_u64(w, t->created_ms);
	writer_u64(w, t->expires_ms);
	writer_bytes(w, span_of(t->hash, sizeof(t->hash)));
	writer_span16(w, span_str(t->name));
}

int token_decode(struct span body, struct token *out)
{
	struct reader r = reader_of(body);
	uint8_t version = reader_u8(&r), role = reader_u8(&r);
	struct span hash, name;

	*out = (struct token){0};
	if (version > VERSION)
		return -EPROTO;
	out->created_ms = reader_u64(&r);
	out->expires_ms = reader_u64(&r);
	hash = reader_bytes(&r, TOKEN_HASH);
	name = reader_span16(&r);
	if (r.failed || reader_left(&r) || version != VERSION || role < TOKEN_READ || role > TOKEN_ADMIN ||
	    name.len > TOKEN_NAME_MAX || (name.len && memchr(name.data, 0, name.len)))
		return -EBADMSG;
	out->role = (enum token_role)role;
	memcpy(out->hash, hash.data, TOKEN_HASH);
	if (name.len)
		memcpy(out->name, name.data, name.len);
	return 0;
}

static struct span document_name(const char *id, char text[NAME_BYTES])
{
	int len = snprintf(text, NAME_BYTES, "%s%s", document_prefix, id);

	return span_of(text, (size_t)len);
}

static void hash_secret(const uint8_t secret[TOKEN_SECRET], uint8_t out[TOKEN_HASH])
{
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, TOKEN_SECRET, secret);
	sha256_digest(&ctx, TOKEN_HASH, out);
	explicit_bzero(&ctx, sizeof(ctx));
}

/* ---- life ---- */

struct tokens *tokens_new(struct store *store, struct random *random, uint64_t (*wall_ms)(void))
{
	struct tokens *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	*t = (struct tokens){.store = store, .random = random, .wall_ms = wall_ms};
	list_init(&t->list);
	return t;
}

static void free_list(struct list *list)
{
	struct list *node;

	while ((node = list_take_first(list)))
		free(container_of(node, struct token, node));
}

struct tokens *tokens_free(struct tokens *t)
{
	if (!t)
		return NULL;
	free_list(&t->list);
	free(t);
	return NULL;
}

/* ---- loading ---- */

struct loading {
	struct tokens *t;
	tokens_loaded *done;
	void *ctx;
};

static void take_document(struct list *list, size_t *count, struct span name, struct span body)
{
	size_t lead = strlen(document_prefix);
	struct token *token;
	uint8_t id[TOKEN_ID / 2];

	if (name.len != lead + TOKEN_ID || memcmp(name.data, document_prefix, lead) ||
	    !hex_decode(span_from(name, lead), id, sizeof(id)) || *count == TOKENS_MAX)
		return;
	token = calloc(1, sizeof(*token));
	if (!token || token_decode(body, token)) {
		free(token);
		return;
	}
	memcpy(token->id, name.data + lead, TOKEN_ID);
	list_append(list, &token->node);
	++*count;
}

static void on_document(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct loading *l = ctx;

	(void)version;
	if (result == STORE_DONE) {
		take_document(&l->t->list, &l->t->count, name, body);
		return;
	}
	l->done(l->ctx, result < 0 ? result : 0);
	free(l);
}

int tokens_load(struct tokens *t, tokens_loaded *done, void *ctx)
{
	struct loading *l = malloc(sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	*l = (struct loading){t, done, ctx};
	/* One page holds them all: TOKENS_MAX documents are far from its limit in bytes. */
	err = store_document_list(t->store, STORE_SETTING, span_str(document_prefix), TOKENS_MAX, on_document,
				  l);
	if (err)
		free(l);
	return err;
}

/* ---- what others did ---- */

struct refresh {
	struct tokens *t;
	struct list list;
	size_t count;
	unsigned changes; /* as it began: what was made here meanwhile is in no list that was read before */
};

static void exchange_lists(struct tokens *t, struct refresh *f)
{
	size_t stored = 0;
	struct list *node;

	list_for_each (each, &t->list)
		stored++;
	free_list(&t->list);
	while ((node = list_take_first(&f->list)))
		list_append(&t->list, node);
	t->count = t->count - stored + f->count;
}

static void on_refreshed(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct refresh *f = ctx;

	(void)version;
	if (result == STORE_DONE) {
		take_document(&f->list, &f->count, name, body);
		return;
	}
	f->t->refresh = NULL;
	if (result == STORE_ABSENT && f->changes == f->t->changes)
		exchange_lists(f->t, f);
	free_list(&f->list);
	free(f);
}

void tokens_refresh(struct tokens *t)
{
	struct refresh *f = t->refresh ? NULL : calloc(1, sizeof(*f));

	if (!f)
		return; /* under way, or later */
	f->t = t;
	f->changes = t->changes;
	list_init(&f->list);
	if (store_document_list(t->store, STORE_SETTING, span_str(document_prefix), TOKENS_MAX, on_refreshed,
				f) < 0) {
		free(f);
		return;
	}
	t->refresh = f;
}

void tokens_on_change(struct tokens *t, void (*changed)(void *ctx, struct span name), void *ctx)
{
	t->changed = changed;
	t->changed_ctx = ctx;
}

static void note_change(struct tokens *t, struct span name)
{
	t->changes++;
	if (t->changed)
		t->changed(t->changed_ctx, name);
}

/* ---- making ---- */

struct creation {
	struct tokens *t;
	struct token *token;
	char text[TOKEN_TEXT];
	tokens_created *done;
	void *ctx;
};

static void creation_free(struct creation *c)
{
	free(c->token);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

static void on_created(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct creation *c = ctx;
	struct token *token = c->token;

	(void)body;
	(void)version;
	if (result == STORE_DONE) {
		list_append(&c->t->list, &token->node);
		c->token = NULL;
		note_change(c->t, name);
		c->done(c->ctx, 0, token, c->text);
	} else {
		c->t->count--;
		c->done(c->ctx, result < 0 ? result : -EAGAIN, NULL, NULL);
	}
	creation_free(c);
}

static void make(struct creation *c)
{
	uint8_t id[TOKEN_ID / 2], secret[TOKEN_SECRET];
	char hex[2 * TOKEN_SECRET + 1];

	random_fill(c->t->random, id, sizeof(id));
	random_fill(c->t->random, secret, sizeof(secret));
	hex_encode(span_of(id, sizeof(id)), c->token->id);
	hash_secret(secret, c->token->hash);
	hex_encode(span_of(secret, sizeof(secret)), hex);
	snprintf(c->text, sizeof(c->text), "%s%s_%s", prefix, c->token->id, hex);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(hex, sizeof(hex));
}

static struct creation *creation_new(struct tokens *t, tokens_created *done, void *ctx)
{
	struct creation *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	*c = (struct creation){.t = t, .token = calloc(1, sizeof(*c->token)), .done = done, .ctx = ctx};
	if (!c->token) {
		free(c);
		return NULL;
	}
	return c;
}

int tokens_create(struct tokens *t, enum token_role role, struct span name, uint64_t expires_ms,
		  tokens_created *done, void *ctx)
{
	uint8_t bytes[TOKEN_DOCUMENT_MAX];
	struct writer w = writer_of(bytes, sizeof(bytes));
	char document[NAME_BYTES];
	struct creation *c;
	int err;

	if (role < TOKEN_READ || role > TOKEN_ADMIN || name.len > TOKEN_NAME_MAX ||
	    (name.len && memchr(name.data, 0, name.len)))
		return -EINVAL;
	if (t->count == TOKENS_MAX)
		return -ENOSPC;
	c = creation_new(t, done, ctx);
	if (!c)
		return -ENOMEM;
	make(c);
	c->token->role = role;
	c->token->created_ms = t->wall_ms();
	c->token->expires_ms = expires_ms;
	if (name.len)
		memcpy(c->token->name, name.data, name.len);
	token_encode(c->token, &w);
	err = store_document_put(t->store, STORE_SETTING, document_name(c->token->id, document),
				 writer_span(&w), 0, on_created, c);
	if (err)
		creation_free(c);
	else
		t->count++;
	return err;
}

/* ---- revoking ---- */

struct revocation {
	struct tokens *t;
	char id[TOKEN_ID + 1];
	tokens_revoked *done;
	void *ctx;
};

static struct token *find_any(const struct tokens *t, struct span id)
{
	list_for_each (node, &t->list) {
		struct token *token = container_of(node, struct token, node);

		if (span_is(id, token->id))
			return token;
	}
	return NULL;
}

static void on_revoked(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct revocation *r = ctx;
	struct token *token = find_any(r->t, span_str(r->id));

	(void)body;
	(void)version;
	if (result >= 0 && token) {
		list_remove(&token->node);
		r->t->count--;
		free(token);
	}
	if (result >= 0)
		note_change(r->t, name);
	r->done(r->ctx, result);
	free(r);
}

int tokens_revoke(struct tokens *t, struct span id, tokens_revoked *done, void *ctx)
{
	const struct token *token = find_any(t, id);
	struct revocation *r = token ? calloc(1, sizeof(*r)) : NULL;
	char document[NAME_BYTES];
	int err;

	if (!token)
		return -ENOENT;
	if (!r)
		return -ENOMEM;
	*r = (struct revocation){.t = t, .done = done, .ctx = ctx};
	memcpy(r->id, token->id, sizeof(r->id));
	err = store_document_delete(t->store, STORE_SETTING, document_name(r->id, document), on_revoked, r);
	if (err)
		free(r);
	return err;
}

/* ---- use ---- */

const struct token *tokens_find(const struct tokens *t, struct span id)
{
	const struct token *token = find_any(t, id);

	return token && (!token->expires_ms || t->wall_ms() < token->expires_ms) ? token : NULL;
}

const struct token *tokens_check(const struct tokens *t, struct span text)
{
	size_t lead = strlen(prefix);
	uint8_t secret[TOKEN_SECRET], hash[TOKEN_HASH];
	const struct token *token;
	bool good;

	if (text.len != TOKEN_TEXT - 1 || memcmp(text.data, prefix, lead) ||
	    text.data[lead + TOKEN_ID] != '_' ||
	    !hex_decode(span_from(text, lead + TOKEN_ID + 1), secret, sizeof(secret)))
		return NULL;
	token = tokens_find(t, span_of(text.data + lead, TOKEN_ID));
	hash_secret(secret, hash);
	explicit_bzero(secret, sizeof(secret));
	good = token && memeql_sec(hash, token->hash, TOKEN_HASH);
	return good ? token : NULL;
}

size_t tokens_count(const struct tokens *t)
{
	return t->count;
}

const struct token *tokens_next(const struct tokens *t, const struct token *after)
{
	const struct list *node = after ? after->node.next : t->list.next;

	return node == &t->list ? NULL : container_of((struct list *)node, struct token, node);
}
