/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "base/list.h"
#include "base/random.h"
#include "store/store.h"

/*
 * Bearer tokens of the northbound interface (RFC 6750), with roles. All are in memory, read at the start; the
 * store has their hashes, so whoever reads the store cannot use one. A token is 256 random bits, so a plain
 * hash is enough: there is nothing to guess.
 *
 *     shoal_0123456789abcdef_ and 64 hexadecimal digits
 */

struct tokens;

enum token_role { TOKEN_NONE = 0, TOKEN_READ = 1, TOKEN_OPERATE = 2, TOKEN_ADMIN = 3 };
enum { TOKENS_MAX = 1024, TOKEN_NAME_MAX = 64, TOKEN_ID = 16, TOKEN_SECRET = 32, TOKEN_HASH = 32 };
enum { TOKEN_TEXT = 6 + TOKEN_ID + 1 + 2 * TOKEN_SECRET + 1 }; /* with NUL */
enum { TOKEN_DOCUMENT_MAX = 128 + TOKEN_NAME_MAX };

/* "read"; NULL for TOKEN_NONE. */
const char *token_role_name(enum token_role role);
/* TOKEN_NONE: there is no such role. */
enum token_role token_role_named(struct span name);

struct token {
	struct list node;
	char id[TOKEN_ID + 1]; /* hexadecimal: names it without being of use */
	enum token_role role;
	char name[TOKEN_NAME_MAX + 1];	 /* "" if it was given none */
	uint64_t created_ms, expires_ms; /* Unix time; 0: never */
	uint8_t hash[TOKEN_HASH];
};

/* Its document in the store: pure functions. */
void token_encode(const struct token *t, struct writer *w);
/* 0; -EPROTO: of a newer version; -EBADMSG. `id` is not in it. */
int token_decode(struct span body, struct token *out) NODISCARD;

/* Borrowed until tokens_free, which comes after the store was closed. NULL: out of memory. */
struct tokens *tokens_new(struct store *store, struct random *random, uint64_t (*wall_ms)(void)) NODISCARD;
struct tokens *tokens_free(struct tokens *t);

/* `result`: 0 or < 0. */
typedef void tokens_loaded(void *ctx, int result);
/* Reads all of them; once, before anything else. Those that cannot be read are left out. */
int tokens_load(struct tokens *t, tokens_loaded *done, void *ctx) NODISCARD;

/* Reads all of them again, for what other processes made and revoked; with nothing else to do if the store
 * does not answer. Pointers to tokens are good until control returns to the loop. */
void tokens_refresh(struct tokens *t);
/* `changed` is called whenever one was made or revoked here. One subscriber. */
void tokens_on_change(struct tokens *t, void (*changed)(void *ctx, struct span name), void *ctx);

/* `result`: 0 or < 0; then `token` is NULL. `text` is the token itself: shown once, never again. */
typedef void tokens_created(void *ctx, int result, const struct token *token, const char *text);
/*
 * Counts from when it is stored, never called back within the call. -EINVAL: no role, or a name longer than
 * TOKEN_NAME_MAX or with a NUL; -ENOSPC: there are TOKENS_MAX; errors of the store.
 */
int tokens_create(struct tokens *t, enum token_role role, struct span name, uint64_t expires_ms,
		  tokens_created *done, void *ctx) NODISCARD;

/* `result`: 0, STORE_ABSENT, or < 0. */
typedef void tokens_revoked(void *ctx, int result);
/* It does not work any more when this calls back. -ENOENT: there is none of this id. */
int tokens_revoke(struct tokens *t, struct span id, tokens_revoked *done, void *ctx) NODISCARD;

/* The token that `text` is, if it is valid now; else NULL. Takes the same time whatever is wrong with the
 * secret. */
const struct token *tokens_check(const struct tokens *t, struct span text);
/* By its id, if it is valid now. */
const struct token *tokens_find(const struct tokens *t, struct span id);
size_t tokens_count(const struct tokens *t);
/* In the order in which they were made or read: NULL starts, NULL ends; also those that have expired. */
const struct token *tokens_next(const struct tokens *t, const struct token *after);
