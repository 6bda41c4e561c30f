/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Look-ups of credentials: what a handshake waits for, so each is one look-up of the store. Nothing is kept
 * in memory: a credential that was removed on another node must not work here any more.
 *
 * The store may have looked before a credential went and say so after it: whoever ends the sessions of what
 * went knows nothing yet of a handshake that waits for this answer. So what is under way then is looked up
 * again.
 */

#include "security/credentials_private.h"

#include <errno.h>

/* ---- whose is it ---- */

struct lookup {
	struct list node;
	struct credentials *c;
	bool stale;
	struct credential_entry entry; /* what is looked for */
	credentials_found *done;
	void *ctx;
};

static int open_owner(const struct lookup *l, struct span body, uint8_t room[CREDENTIAL_OPENED_MAX],
		      struct credential_found *found)
{
	struct credential_owner owner;
	int err = credential_owner_decode(body, &owner);

	if (!err && l->entry.mode == CREDENTIAL_PSK)
		err = credential_open(l->c->vault, credential_id(&l->entry), &owner, room, &found->key);
	if (!err) {
		found->endpoint = owner.endpoint;
		found->fresh = owner.fresh;
	}
	return err;
}

static store_document_fn on_owner;

static int ask_owner(struct lookup *l)
{
	struct credential_name n;

	l->stale = false;
	return store_document_get(l->c->store, STORE_CREDENTIAL, credential_name_claim(&n, &l->entry),
				  on_owner, l);
}

static void on_owner(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct lookup *l = ctx;
	uint8_t room[CREDENTIAL_OPENED_MAX];
	struct credential_found found = {.result = result < 0 ? result : CREDENTIALS_ABSENT};

	(void)name;
	(void)version;
	if (result == STORE_DONE && l->stale) {
		found.result = ask_owner(l);
		if (!found.result)
			return;
	} else if (result == STORE_DONE) {
		found.result = open_owner(l, body, room, &found);
	}
	list_remove(&l->node);
	l->done(l->ctx, &found);
	explicit_bzero(room, sizeof(room));
	free(l);
}

static int find_owner(struct lookup *wanted)
{
	struct lookup *l = malloc(sizeof(*l));
	int err;

	if (!l)
		return -ENOMEM;
	*l = *wanted;
	err = ask_owner(l);
	if (err)
		free(l);
	else
		list_append(&l->c->lookups, &l->node);
	return err;
}

int credentials_find_psk(struct credentials *c, struct span identity, credentials_found *done, void *ctx)
{
	struct lookup l = {.c = c, .done = done, .ctx = ctx};

	if (!identity.len || identity.len > CREDENTIAL_IDENTITY_MAX)
		return -EINVAL;
	l.entry.mode = CREDENTIAL_PSK;
	l.entry.id_len = (uint8_t)identity.len;
	memcpy(l.entry.id, identity.data, identity.len);
	return find_owner(&l);
}

int credentials_find_key(struct credentials *c, struct span spki, credentials_found *done, void *ctx)
{
	struct lookup l = {.c = c, .done = done, .ctx = ctx};

	if (!spki.len || spki.len > CREDENTIAL_SPKI_MAX)
		return -EINVAL;
	l.entry.mode = CREDENTIAL_RAW_KEY;
	l.entry.id_len = CREDENTIAL_HASH;
	credential_hash_spki(spki, l.entry.id);
	return find_owner(&l);
}

/* ---- what may it ---- */

struct modes_lookup {
	struct list node;
	struct credentials *c;
	bool stale;
	struct credential_name name;
	credentials_modes *done;
	void *ctx;
};

static store_document_fn on_list;

static int ask_modes(struct modes_lookup *l)
{
	l->stale = false;
	return store_document_get(l->c->store, STORE_CREDENTIAL, span_of(l->name.bytes, l->name.len), on_list,
				  l);
}

static void on_list(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct modes_lookup *l = ctx;
	struct credential_list list;
	unsigned modes = 0;

	(void)name;
	(void)version;
	if (result == STORE_DONE && l->stale) {
		result = ask_modes(l);
		if (!result)
			return;
	} else if (result == STORE_DONE) {
		result = credential_list_decode(body, &list);
	} else if (result > 0) {
		result = CREDENTIALS_ABSENT;
	}
	list_remove(&l->node);
	for (size_t i = 0; result == CREDENTIALS_DONE && i < list.count; i++)
		modes |= list.items[i].mode;
	l->done(l->ctx, result, modes, result == CREDENTIALS_DONE ? &list : NULL);
	free(l);
}

int credentials_find_endpoint(struct credentials *c, struct span endpoint, credentials_modes *done, void *ctx)
{
	struct modes_lookup *l;
	int err;

	if (!endpoint.len || endpoint.len > CREDENTIAL_ENDPOINT_MAX)
		return -EINVAL;
	l = malloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = (struct modes_lookup){.c = c, .done = done, .ctx = ctx};
	(void)credential_name_endpoint(&l->name, endpoint);
	err = ask_modes(l);
	if (err)
		free(l);
	else
		list_append(&c->modes, &l->node);
	return err;
}

void credentials_lookups_renew(struct credentials *c, struct span endpoint,
			       const struct credential_entry *gone, size_t count)
{
	struct credential_name n;
	struct span name = credential_name_endpoint(&n, endpoint);

	list_for_each (node, &c->modes) {
		struct modes_lookup *l = container_of(node, struct modes_lookup, node);

		l->stale |= span_equal(span_of(l->name.bytes, l->name.len), name);
	}
	list_for_each (node, &c->lookups) {
		struct lookup *l = container_of(node, struct lookup, node);

		for (size_t i = 0; i < count; i++)
			l->stale |= l->entry.mode == gone[i].mode &&
				    span_equal(credential_id(&l->entry), credential_id(&gone[i]));
	}
}

/* ---- all of them ---- */

enum { PAGE = 512 };

struct listing {
	struct credentials *c;
	size_t left;	/* how many more may be told */
	size_t of_page; /* documents that this page had */
	bool over;
	struct credential_name last;
	credentials_each *each;
	credentials_done *done;
	void *ctx;
};

static store_document_fn on_page;

static int read_page(struct listing *l)
{
	l->of_page = 0;
	return store_document_list(l->c->store, STORE_CREDENTIAL, span_of(l->last.bytes, l->last.len),
				   MIN(l->left, (size_t)PAGE), on_page, l);
}

static void end_listing(struct listing *l, int result)
{
	l->done(l->ctx, result);
	free(l);
}

static void on_item(struct listing *l, struct span name, struct span body)
{
	struct credential_list list;
	struct span endpoint = span_from(name, 2);

	l->of_page++;
	if (l->over)
		return;
	/* Identities and keys come behind all endpoints. */
	if (name.len < 3 || name.len > CREDENTIAL_NAME_BYTES || memcmp(name.data, "e:", 2)) {
		l->over = true;
		return;
	}
	memcpy(l->last.bytes, name.data, name.len);
	l->last.len = name.len;
	if (credential_list_decode(body, &list))
		list = (struct credential_list){0}; /* it is there, but nothing of it works */
	l->left--;
	l->over = !l->each(l->ctx, endpoint, &list);
}

static void on_page(void *ctx, int result, struct span name, struct span body, uint64_t version)
{
	struct listing *l = ctx;
	int err;

	(void)version;
	if (result == STORE_DONE) {
		on_item(l, name, body);
		return;
	}
	if (result < 0 || l->over || !l->of_page || !l->left) {
		end_listing(l, result < 0 ? result : CREDENTIALS_DONE);
		return;
	}
	err = read_page(l);
	if (err)
		end_listing(l, err);
}

int credentials_list(struct credentials *c, struct span after, size_t count, credentials_each *each,
		     credentials_done *done, void *ctx)
{
	struct listing *l;
	int err;

	if (after.len > CREDENTIAL_ENDPOINT_MAX || !count)
		return -EINVAL;
	l = malloc(sizeof(*l));
	if (!l)
		return -ENOMEM;
	*l = (struct listing){.c = c, .left = count, .each = each, .done = done, .ctx = ctx};
	credential_name_endpoint(&l->last, after);
	err = read_page(l);
	if (err)
		free(l);
	return err;
}
