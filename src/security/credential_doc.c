/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Encodings of credentials, versioned. What is read here was written by us, but perhaps by another version or
 * by somebody with access to the store: everything is checked. Sealing and opening is credentials.c's.
 */

#include "security/credential_doc.h"

#include <errno.h>

enum { VERSION = 1, FRESH = 1 };

bool credential_same(const struct credential_entry *a, const struct credential_entry *b)
{
	return a->mode == b->mode && span_equal(credential_id(a), credential_id(b));
}

const struct credential_entry *credential_list_find(const struct credential_list *l,
						    const struct credential_entry *like)
{
	for (size_t i = 0; i < l->count; i++) {
		if (credential_same(&l->items[i], like))
			return &l->items[i];
	}
	return NULL;
}

/* ---- lists ---- */

void credential_list_encode(const struct credential_list *l, struct writer *w)
{
	writer_u8(w, VERSION);
	writer_u8(w, (uint8_t)l->count);
	for (size_t i = 0; i < l->count; i++) {
		const struct credential_entry *e = &l->items[i];

		writer_u8(w, e->mode);
		writer_u8(w, e->fresh ? FRESH : 0);
		writer_u8(w, e->id_len);
		writer_bytes(w, credential_id(e));
		writer_bytes(w, span_of(e->fingerprint, sizeof(e->fingerprint)));
	}
}

static bool id_fits(uint8_t mode, uint8_t len)
{
	switch (mode) {
	case CREDENTIAL_PSK:
		return len >= 1 && len <= CREDENTIAL_IDENTITY_MAX;
	case CREDENTIAL_RAW_KEY:
		return len == CREDENTIAL_HASH;
	case CREDENTIAL_X509:
		return len == 0;
	}
	return false;
}

static bool decode_entry(struct reader *r, struct credential_entry *e)
{
	uint8_t flags;
	struct span id, fingerprint;

	e->mode = reader_u8(r);
	flags = reader_u8(r);
	e->fresh = flags & FRESH;
	e->id_len = reader_u8(r);
	if (!id_fits(e->mode, e->id_len) || flags > FRESH)
		return false;
	id = reader_bytes(r, e->id_len);
	fingerprint = reader_bytes(r, sizeof(e->fingerprint));
	if (r->failed)
		return false;
	if (id.len)
		memcpy(e->id, id.data, id.len);
	memcpy(e->fingerprint, fingerprint.data, fingerprint.len);
	return true;
}

int credential_list_decode(struct span body, struct credential_list *out)
{
	struct reader r = reader_of(body);
	uint8_t version = reader_u8(&r), count = reader_u8(&r);

	*out = (struct credential_list){0};
	if (version > VERSION)
		return -EPROTO;
	if (version != VERSION || count > CREDENTIAL_ENTRIES)
		return -EBADMSG;
	while (out->count < count) {
		if (!decode_entry(&r, &out->items[out->count]) ||
		    credential_list_find(out, &out->items[out->count]))
			return -EBADMSG;
		out->count++;
	}
	return r.failed || reader_left(&r) ? -EBADMSG : 0;
}

/* ---- owners ---- */

void credential_owner_encode(const struct credential_owner *o, struct writer *w)
{
	writer_u8(w, VERSION);
	writer_u8(w, o->fresh ? FRESH : 0);
	writer_span16(w, o->endpoint);
	writer_bytes(w, o->sealed);
}

int credential_owner_decode(struct span body, struct credential_owner *out)
{
	struct reader r = reader_of(body);
	uint8_t version = reader_u8(&r), flags = reader_u8(&r);

	*out = (struct credential_owner){0};
	if (version > VERSION)
		return -EPROTO;
	out->endpoint = reader_span16(&r);
	out->sealed = reader_rest(&r);
	out->fresh = flags & FRESH;
	if (r.failed || version != VERSION || flags > FRESH || !out->endpoint.len ||
	    out->endpoint.len > CREDENTIAL_ENDPOINT_MAX || out->sealed.len > CREDENTIAL_SEALED_MAX)
		return -EBADMSG;
	return 0;
}

/* ---- names ---- */

static struct span name_of(struct credential_name *n, const char *kind, struct span rest)
{
	struct writer w = writer_of(n->bytes, sizeof(n->bytes));

	writer_str(&w, kind);
	writer_bytes(&w, rest);
	assert(!w.failed);
	n->len = writer_len(&w);
	return writer_span(&w);
}

struct span credential_name_endpoint(struct credential_name *n, struct span endpoint)
{
	return name_of(n, "e:", endpoint);
}

struct span credential_name_claim(struct credential_name *n, const struct credential_entry *e)
{
	if (e->mode == CREDENTIAL_X509)
		return (struct span){NULL, 0};
	return name_of(n, e->mode == CREDENTIAL_PSK ? "i:" : "k:", credential_id(e));
}
