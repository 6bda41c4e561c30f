/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * By which address or connection id a device is found in the store by a node that never heard of it. An entry
 * is a hint that expires, so each sign of life writes it anew; whoever finds one looks at the record.
 */

#include "lwm2m/core.h"

static_assert((int)LWM2M_ADDRESS_KEY <= (int)LWM2M_CID_MAX, "either fits");

/* Neither the interface nor the socket: those are each node's own. */
struct span lwm2m_address_key(const struct address *a, uint8_t key[LWM2M_ADDRESS_KEY])
{
	struct writer w = writer_of(key, LWM2M_ADDRESS_KEY);

	writer_u8(&w, a->family);
	writer_bytes(&w, span_of(a->ip, a->family == 4 ? 4 : 16));
	writer_u16(&w, a->port);
	return writer_span(&w);
}

/* False: nothing leads to it. */
static bool find_key(struct device *d, const struct blob *record, uint8_t bytes[LWM2M_CID_MAX],
		     struct store_index_change *out)
{
	const struct lwm2m_security *security = d->server->host.security;
	struct registration r;
	struct address peer;
	size_t len = 0;

	if (!record || registration_decode(blob_span(record), &r) < 0 || !r.present)
		return false;
	peer = r.address;
	if (r.secure && (!security || r.session.len == 0 ||
			 !security->locate(security->ctx, device_endpoint(d), r.session, bytes, &len, &peer)))
		return false;
	if (len > 0)
		*out = (struct store_index_change){.kind = STORE_INDEX_CID, .key = span_of(bytes, len)};
	else
		*out = (struct store_index_change){.kind = STORE_INDEX_ADDRESS,
						   .key = lwm2m_address_key(&peer, bytes)};
	return true;
}

static bool is_same(const struct store_index_change *a, const struct store_index_change *b)
{
	return a->kind == b->kind && span_equal(a->key, b->key);
}

void index_note(struct device *d, const struct device_change *change, const struct blob *before,
		struct index_changes *out)
{
	const struct blob *after = change->change == STORE_RECORD_PUT	 ? change->record
				   : change->change == STORE_RECORD_KEEP ? before
									 : NULL;
	struct store_index_change old = {0};

	out->count = 0;
	if (!d->server->config.index || (change->change == STORE_RECORD_KEEP && !change->seen_ms))
		return;
	if (find_key(d, after, out->keys[0], &out->items[0]))
		out->count++;
	if (after == before || !find_key(d, before, out->keys[1], &old) ||
	    (out->count > 0 && is_same(&old, &out->items[0])))
		return;
	old.remove = true;
	out->items[out->count++] = old;
}
