/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "dtls/handshake.h"
#include "sim/options.h"

#include <stdio.h>

/*
 * What the devices authenticate with: derived from a master key, read from files of one name per device, or
 * rows of a CSV file. Nothing is kept per device but what the file has; the rest is made for each handshake.
 */

struct credentials;

/* What is wrong is told on `error`. `options` is borrowed until credentials_free. -EINVAL, -ENOMEM, or the
 * errno of a file. */
int credentials_new(const struct sim_options *options, FILE *error, struct credentials **out) NODISCARD;
struct credentials *credentials_free(struct credentials *c);

/* The name that row `index` of a CSV file gives a device; empty if names are made elsewhere. Borrowed. */
struct span credentials_endpoint(const struct credentials *c, uint32_t index);

/* What one device presents. */
struct presented {
	struct dtls_context *context;
	bool own; /* `context` is its own, to be freed with it */
	size_t identity_len, psk_len;
	uint8_t identity[DTLS_IDENTITY_MAX];
	uint8_t psk[DTLS_PSK_MAX];
};
/* For device `index` of this name. -ENOMEM, -EINVAL, or the errno of a file; harmless to deinit then. */
int credentials_present(const struct credentials *c, uint32_t index, const char *name,
			struct presented *out) NODISCARD;
void presented_deinit(struct presented *p);

/*
 * What the server has to know of all devices, as CSV: endpoint, mode, identity, key, as `shoalctl security
 * import` takes it. "-": standard output. A new file is for its owner alone. Errors are told on `error`.
 */
int credentials_write(const struct credentials *c, const char *path, FILE *error) NODISCARD;
