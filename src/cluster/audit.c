/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What is in memory is compared with the store after the two lost sight of each other.
 *
 * The hard idea: a node that stood still, or was cut off, does not know that its devices were taken over, and
 * of those that stay silent no write would ever tell it; and a store that came back empty knows of no device
 * that stays silent, so that nobody else could go on with it. One look at each device finds either. It
 * decides nothing: forgetting needs a higher generation, and writing is fenced as always.
 */

#include "cluster/private.h"

enum { AUDIT_AT_ONCE = 128 };

struct look {
	struct owners *owners;
	size_t endpoint_len;
	uint8_t endpoint[];
};

static void on_seen(void *ctx, int result, const struct store_device *stored)
{
	_cleanup_free_ struct look *l = ctx;
	struct owners *o = l->owners;
	struct store_key key = owners_key(o, span_of(l->endpoint, l->endpoint_len));

	o->looking--;
	if (o->stopped)
		return;
	if (result == STORE_DONE && !owners_is_mine(o, &stored->hot.fence))
		o->host.lost(o->host.ctx, key, stored->hot.fence.gen);
	else if (result == STORE_ABSENT && !stored)
		o->host.missing(o->host.ctx, key);
	audit_on(o);
}

static bool look(struct owners *o, struct store_key key)
{
	struct look *l = malloc(sizeof(*l) + key.endpoint.len);

	if (!l)
		return false;
	l->owners = o;
	l->endpoint_len = key.endpoint.len;
	memcpy(l->endpoint, key.endpoint.data, key.endpoint.len);
	if (store_find(o->store, owners_key(o, span_of(l->endpoint, l->endpoint_len)), on_seen, l) < 0) {
		free(l);
		return false;
	}
	o->looking++;
	return true;
}

void audit_on(struct owners *o)
{
	uint64_t outages = members_outages(o->members);
	struct store_key key;

	if (outages != o->audited) {
		o->audited = outages;
		o->audit_cursor = 0;
		o->audits = true;
	}
	while (o->audits && o->looking < AUDIT_AT_ONCE) {
		uint32_t at = o->audit_cursor;

		o->audits = o->host.next(o->host.ctx, &o->audit_cursor, &key);
		if (o->audits && !look(o, key)) {
			o->audit_cursor = at; /* with the next answer, or the next second */
			return;
		}
	}
}
