/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/* A client of the northbound interface: connections that are kept, each with one request at a time. */

enum { REST_CONNECTIONS_MAX = 256 };

struct rest;

/* 127.0.0.1. -errno. */
int rest_open(uint16_t port, unsigned connections, struct rest **out) NODISCARD;
struct rest *rest_free(struct rest *r);
/* Becomes readable when there is an answer. */
int rest_fd(const struct rest *r);
unsigned rest_idle(const struct rest *r);
/* Sends "METHOD PATH" on an idle connection, of which there must be one. `due_ns` comes back with the answer.
 */
int rest_request(struct rest *r, const char *method, const char *path, uint64_t due_ns) NODISCARD;

/* `good`: 200, and the body says that the device did it. */
typedef void rest_answer(void *ctx, uint64_t due_ns, bool good);
/* Takes the answers that are there, without waiting. -errno if a connection broke; -EPROTO for no HTTP. */
int rest_receive(struct rest *r, rest_answer *answer, void *ctx) NODISCARD;
