/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Life times of devices whose node died (architecture, "Partitions").
 *
 * The store keeps, of each device, a time at which somebody has to look at it: an early one, since an Update
 * that prolongs a registration does not move it. Each node asks for what is due now and then; what it is
 * given nobody else is given for a while. If the device's owner lives, it knows by itself; if it does not,
 * the device comes here, and its timer does the rest.
 */

#include "cluster/private.h"

enum { EXPIRY_EVERY_MS = 1000, EXPIRY_DEFER_MS = 15000, EXPIRY_COUNT = 256 };

static void on_due(void *ctx, int result, const struct store_device *stored)
{
	struct owners *o = ctx;
	uint64_t end_ms;

	if (result != STORE_DONE || !stored) {
		o->expiring = false;
		return;
	}
	if (o->stopped)
		return;
	end_ms = o->host.expires_ms(o->host.ctx, stored);
	if (end_ms == 0 || end_ms > store_now_ms(o->store)) {
		if (store_expiry_set(o->store, stored->key, end_ms, NULL, NULL) < 0)
			return; /* it comes again */
	} else if (!owners_is_mine(o, &stored->hot.fence) && !owners_is_elsewhere(o, &stored->hot.fence)) {
		o->stats.expired++;
		move_for_expiry(o, stored);
	}
}

static void on_timer(struct timer *t, uint64_t now_ms)
{
	struct owners *o = container_of(t, struct owners, expiry);

	timer_set(o->timers, t, now_ms + EXPIRY_EVERY_MS, on_timer);
	audit_on(o);
	/* Whose owner lives is known only while the store is there, and was for a while. */
	if (o->expiring || !members_joined(o->members) || members_is_settling(o->members))
		return;
	o->expiring = true;
	if (store_expired(o->store, o->config.role, EXPIRY_COUNT, EXPIRY_DEFER_MS, on_due, o) < 0)
		o->expiring = false;
}

void expiry_start(struct owners *o)
{
	timer_set(o->timers, &o->expiry, o->timers->now_ms + EXPIRY_EVERY_MS, on_timer);
}
