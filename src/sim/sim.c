/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Putting together what all devices share. All else is in device.c and the files below it. */

#include "sim/sim.h"

#include "coap/dedup.h"

#include <errno.h>

enum { EXCHANGES_PER_DEVICE = 40, BODY_MAX = 64 << 10, BODIES_MAX = 64 << 20, BODIES_PER_DEVICE = 2 };

int sim_init(struct sim *s, const struct sim_options *options, uint64_t now_ms, uint64_t wall_ms,
	     void (*send)(void *ctx, const struct address *to, struct span datagram), void *ctx)
{
	static const struct coap_assembly_limits limits = {.body_max = BODY_MAX,
							   .bytes_max = BODIES_MAX,
							   .per_address = BODIES_PER_DEVICE,
							   .idle_ms = COAP_EXCHANGE_LIFETIME_MS};

	*s = (struct sim){.options = options,
			  .ledger = {.fd = -1},
			  .params = coap_params_default,
			  .begun_ms = now_ms,
			  .wall_offset_ms = (int64_t)(wall_ms - now_ms),
			  .declared = {{OBJECT_TEMPERATURE, {1, 1}}}};
	if (options->ack_timeout_ms)
		s->params.ack_timeout_ms = (uint32_t)options->ack_timeout_ms;
	random_init_seed(&s->random, options->seed);
	timers_init(&s->timers, now_ms);
	coap_layer_init(&s->coap, &s->timers, &s->random, options->count * EXCHANGES_PER_DEVICE, send, ctx);
	coap_assemblies_init(&s->assemblies, &s->timers, &s->coap.key, &limits);
	s->registry = registry_new();
	s->model = (struct model){.registry = s->registry,
				  .lwm2m = sim_options_lwm2m(options),
				  .declared = s->declared,
				  .declared_count = ARRAY_SIZE(s->declared)};
	return s->registry ? 0 : -ENOMEM;
}

void sim_deinit(struct sim *s)
{
	coap_assemblies_deinit(&s->assemblies);
	coap_layer_deinit(&s->coap);
	s->registry = registry_free(s->registry);
	ledger_close(&s->ledger);
}
