/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "base/list.h"

/*
 * Who could not connect, and why: a table in memory, bounded, also of those who never registered. A row is
 * one who and one cause; when the table is full the row that was seen longest ago goes. Not stored: it is
 * about now.
 */

enum failure_who {
	FAILURE_IDENTITY, /* a PSK identity, or what a certificate or raw key says of itself */
	FAILURE_ENDPOINT, /* the name that a device registers by */
	FAILURE_ADDRESS,  /* nothing else is known: `name` is not looked at */
};

enum { FAILURES_MAX = 1024, FAILURE_NAME_MAX = 255, FAILURE_WORDS = 160 };

struct failure {
	enum failure_who who;
	struct span name;	/* bytes of a stranger, cut to FAILURE_NAME_MAX */
	const char *cause;	/* "wrong_key": a literal */
	const char *words;	/* for people; "" if there is nothing to add */
	struct address address; /* the last one it came from */
};

struct failure_row {
	struct list node; /* of the table: the last seen is the last */
	uint32_t hash;
	enum failure_who who;
	uint8_t name[FAILURE_NAME_MAX];
	uint8_t name_len;
	const char *cause;
	char words[FAILURE_WORDS];
	struct address address;
	uint64_t count;
	uint64_t first_ms, last_ms; /* Unix time */
};

struct failures;
/* NULL: out of memory. */
struct failures *failures_new(const struct siphash_key *key) NODISCARD;
struct failures *failures_free(struct failures *f);

/* Adds it up; nothing is kept of `failure` but `cause`. The row, or NULL if memory is out. */
const struct failure_row *failures_note(struct failures *f, const struct failure *failure, uint64_t now_ms);
size_t failures_count(const struct failures *f);
/* From the last seen on: NULL starts, NULL ends. Borrowed until the next change. */
const struct failure_row *failures_next(const struct failures *f, const struct failure_row *after);
void failures_clear(struct failures *f);
/* "identity", "endpoint", "address" */
const char *failure_who_name(enum failure_who who);
