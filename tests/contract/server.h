/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "contract.h"

/* A redis-server of its own for a place: on a unix socket in its directory, without a port, without files. */

/* `options`: further arguments, NULL-terminated, or NULL. */
void server_start(struct place *p, const char *const *options);
void server_stop(struct place *p);
/* What redis-cli prints for a command. */
const char *server_command(const struct place *p, char *out, size_t size, const char *const *command);
