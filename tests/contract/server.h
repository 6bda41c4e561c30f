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
#define REDIS(...) \
	server_command(&f->place, (char[65536]){0}, 65536, (const char *const[]){__VA_ARGS__, NULL})

/* A second node of the same store, on the loop of the first. */
struct store *second_node(struct fixture *f, uint32_t node);
void close_node(struct fixture *f, struct store *s);
/* A TCP port that is free now. */
int free_port(void);
/* Runs the loop for so long. */
void run_for(struct fixture *f, unsigned ms);
/* A key of the store by its first letter behind the braces; there has to be one. */
const char *key_of(struct fixture *f, char letter, char *out, size_t size);

/* Tests of stores in Redis with several nodes, and of devices that are not in memory. */
extern const struct theme redis_nodes_theme;
