/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/base.h"

/*
 * What the server acknowledged, one line each, in the order in which we learnt it:
 *
 *     ack register EP REGID
 *     ack update EP
 *     ack notify EP PATH VALUE    (of a composite, a line per path)
 *     ack send EP PATH VALUE      (a line per value)
 *     ack deregister EP
 *
 * A failure drill holds it against what the server stored: every line must be there, exactly once.
 */
struct ledger {
	int fd;	   /* -1: none is kept */
	int error; /* the first write that failed, as a negative errno; nothing is written after it */
};

/* `path` NULL: keeps none. Empties an existing file. < 0: errno of open(2). */
int ledger_open(struct ledger *l, const char *path) NODISCARD;
void ledger_close(struct ledger *l);
/* The line is with the kernel when this returns: it survives the death of this process. */
void ledger_write(struct ledger *l, const char *format, ...) PRINTF_LIKE(2, 3);
