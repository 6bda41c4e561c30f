/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "store/redis_keys.h"

/* Where and how to connect. Strings are owned. */
struct redis_target {
	char *host, *path, *user, *password;
	uint16_t port;
	bool tls;
	uint32_t db;
	char prefix[REDIS_PREFIX_MAX + 1]; /* with the colon */
};

/* NULL: parsed; else what is wrong, in words. To be freed in either case; `password` is left to the caller.
 */
const char *redis_url_parse(const char *url, struct redis_target *t);
void redis_target_deinit(struct redis_target *t);
