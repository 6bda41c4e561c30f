/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Which confirmable requests were seen already (RFC 7252, 4.5). The hard idea is that this memory leaves the
 * process: it is stored with the effect it protects and read by another node. Hence wall-clock seconds, which
 * may differ a little between nodes, and an age that counts in both directions.
 *
 * A message id alone would not do: a device that lost its memory starts over with the same ids for other
 * messages. Leaves out answers with payload: such requests are idempotent and are computed again.
 */

#include "coap/dedup.h"

enum { LIFETIME_S = COAP_EXCHANGE_LIFETIME_MS / 1000 };

uint32_t coap_dedup_hash(const struct siphash_key *key, struct span datagram, struct span source)
{
	uint64_t digests[2] = {siphash(key, datagram), siphash(key, source)};

	return (uint32_t)siphash(key, span_of(digests, sizeof(digests)));
}

static bool is_live(const struct coap_dedup_entry *e, uint32_t now_s)
{
	uint32_t age_s = now_s > e->time_s ? now_s - e->time_s : e->time_s - now_s;

	return e->time_s && age_s <= LIFETIME_S;
}

enum coap_seen coap_dedup_find(const struct coap_dedup *d, uint16_t mid, uint32_t hash, uint32_t now_s,
			       uint8_t *code)
{
	for (unsigned i = 0; i < COAP_DEDUP_ENTRIES; i++) {
		const struct coap_dedup_entry *e = &d->entries[i];

		if (e->mid != mid || e->hash != hash || !is_live(e, now_s))
			continue;
		if (e->code == COAP_EMPTY)
			return COAP_SEEN_PENDING;
		*code = e->code;
		return COAP_SEEN_ANSWERED;
	}
	return COAP_SEEN_NEW;
}

/* How well an entry is kept: first free ones go, then answered ones, then pending ones; among these the
 * oldest. */
static uint64_t worth(const struct coap_dedup_entry *e, uint32_t now_s)
{
	if (!is_live(e, now_s))
		return 0;
	return (uint64_t)(e->code == COAP_EMPTY) << 32 | e->time_s;
}

unsigned coap_dedup_add(struct coap_dedup *d, uint16_t mid, uint32_t hash, uint32_t now_s, uint8_t code)
{
	unsigned least = d->next % COAP_DEDUP_ENTRIES;

	/* From `next` on, so that among those of the same second the first one goes. */
	for (unsigned i = 1; i < COAP_DEDUP_ENTRIES; i++) {
		unsigned at = (d->next + i) % COAP_DEDUP_ENTRIES;

		if (worth(&d->entries[at], now_s) < worth(&d->entries[least], now_s))
			least = at;
	}
	d->entries[least] = (struct coap_dedup_entry){
		.hash = hash,
		.time_s = now_s ? now_s : 1,
		.mid = mid,
		.code = code,
	};
	d->next = (uint8_t)((least + 1) % COAP_DEDUP_ENTRIES);
	return least;
}

void coap_dedup_settle(struct coap_dedup *d, uint16_t mid, uint32_t hash, uint8_t code)
{
	for (unsigned i = 0; i < COAP_DEDUP_ENTRIES; i++) {
		struct coap_dedup_entry *e = &d->entries[i];

		if (e->time_s == 0 || e->code != COAP_EMPTY || e->mid != mid || e->hash != hash)
			continue;
		if (code == COAP_EMPTY)
			*e = (struct coap_dedup_entry){0};
		else
			e->code = code;
		return;
	}
}
