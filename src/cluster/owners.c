/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Beginning and end; the work is in search.c, move.c, give.c and expiry.c. */

#include "cluster/private.h"

void owners_config_init(struct owners_config *c)
{
	*c = (struct owners_config){
		.ask_ms = 300, .lookups_per_s = 2000, .searches_max = 8192, .role = STORE_MANAGEMENT};
}

struct owners *owners_new(const struct owners_config *config, const struct owners_host *host,
			  struct store *store, const struct members *members, struct timers *timers)
{
	enum { MOVEMENTS_MAX = 200000 };
	struct owners *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->config = *config;
	o->host = *host;
	o->store = store;
	o->members = members;
	o->timers = timers;
	o->hash_key = store_hash_key(store);
	map_init(&o->moves);
	map_init(&o->givings);
	movements_init(&o->movements, &o->hash_key, MOVEMENTS_MAX);
	expiry_start(o);
	return o;
}

void owners_stop(struct owners *o)
{
	o->stopped = true;
	timer_cancel(o->timers, &o->expiry);
}

struct owners *owners_free(struct owners *o)
{
	if (!o)
		return NULL;
	assert(o->moving == 0 && o->searches == 0 && o->giving == 0);
	timer_cancel(o->timers, &o->expiry);
	map_deinit(&o->moves);
	map_deinit(&o->givings);
	movements_deinit(&o->movements);
	free(o);
	return NULL;
}

void owners_stats(const struct owners *o, struct owners_stats *out)
{
	*out = o->stats;
	out->moving = o->moving;
}
