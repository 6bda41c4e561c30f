/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Putting together what all devices share. All else is in device.c and the files below it. */

#include "sim/sim.h"

#include <errno.h>

enum { EXCHANGES_PER_DEVICE = 40 };

int sim_init(struct sim *s, const struct sim_options *options, uint64_t now_ms, uint64_t wall_ms,
	     void (*send)(void *ctx, const struct address *to, struct span datagram), void *ctx)
{
	*s = (struct sim){.options = options,
			  .ledger = {.fd = -1},
			  .begun_ms = now_ms,
			  .wall_offset_ms = (int64_t)(wall_ms - now_ms),
			  .declared = {{OBJECT_TEMPERATURE, {1, 1}}}};
	random_init_seed(&s->random, options->seed);
	timers_init(&s->timers, now_ms);
	coap_layer_init(&s->coap, &s->timers, &s->random, options->count * EXCHANGES_PER_DEVICE, send, ctx);
	s->registry = registry_new();
	s->model = (struct model){.registry = s->registry,
				  .lwm2m = sim_options_lwm2m(options),
				  .declared = s->declared,
				  .declared_count = ARRAY_SIZE(s->declared)};
	return s->registry ? 0 : -ENOMEM;
}

void sim_deinit(struct sim *s)
{
	coap_layer_deinit(&s->coap);
	s->registry = registry_free(s->registry);
	ledger_close(&s->ledger);
}
