/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/log.h"
#include "store/store.h"

#include <stdio.h>
#include <uv.h>

/*
 * What all tests of stores share: a table of backends, a place per test, a store on a loop of its own, a
 * clock that the test sets, and calls that wait for their callback. A failed expectation ends the test in the
 * line where it was called.
 */

struct place;

struct backend {
	const char *name;
	/*
	 * One node has it for itself: opening takes all devices over, they can be scanned and are counted,
	 * events are there as soon as they are written. Else a device is claimed, a walk finds them, and an
	 * event can be read when its millisecond is over.
	 */
	bool embedded;
	/* Makes the place ready, under its directory, and its URL. */
	void (*init)(struct place *p);
	void (*deinit)(struct place *p);
};
const struct backend *backend_find(const char *name);

struct place {
	const struct backend *backend;
	char directory[256];
	char url[512];
	int server; /* process id, 0: none */
};

struct fixture {
	struct place place;
	uv_loop_t loop;
	struct store_options options;
	struct log log;
	int log_fd; /* a file without a name: what the store had to say */
	struct store *store;
	struct store_fence fence; /* of the store's own process, gen 1 */
};

/* cmocka's setup and teardown; the initial state is a `const struct backend *`. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

void place_init(struct place *p, const struct backend *backend);
void place_remove(struct place *p);
static inline bool embedded(const struct place *p)
{
	return p->backend->embedded;
}

/* The store's clock. */
void clock_set(uint64_t ms);
void clock_advance(uint64_t ms);
uint64_t clock_now(void);
/* In the year 2038: ahead of the clock of any server, so that ours counts (see options.wall_ms). */
enum { CLOCK_START_S = 2145916800 };

void fixture_open(struct fixture *f);
int fixture_try_open(struct fixture *f);
void fixture_close(struct fixture *f);
void fixture_reopen(struct fixture *f);
/* Runs the loop until `*done`, at most a minute. */
void wait_for(struct fixture *f, const bool *done);
/* All that was logged since the fixture began, NUL-terminated. */
const char *fixture_log(struct fixture *f, char *text, size_t size);

/* ---- calls that wait ---- */

struct store_key device_key(const char *endpoint);
/* The hot fields with which an owner begins: number 0. */
struct store_hot fresh_hot(const struct fixture *f);
/* What the next write of this owner carries: number + 1, and with a mid a new dedup entry. Returns its index
 * or -1. */
int next_hot(struct store_hot *hot, uint16_t mid);

struct wrote {
	bool done;
	unsigned order; /* of the callback among all */
	struct store_written written;
};
struct wrote write_now(struct fixture *f, const struct store_write *w);
/* Do not wait: `out` is filled in later. */
int try_write(struct fixture *f, const struct store_write *w, struct wrote *out);
void write_later(struct fixture *f, const struct store_write *w, struct wrote *out);
struct wrote hand_over_now(struct fixture *f, const struct store_write *w, const struct store_fence *to);
/* A write with the next number that must succeed: PUT of `record`, or KEEP if NULL; with an event of type 1
 * and this body, or none if NULL. */
struct store_written put(struct fixture *f, const char *endpoint, struct store_hot *hot, const char *record,
			 const char *event);
struct store_written remove_device(struct fixture *f, const char *endpoint, struct store_hot *hot);

struct found {
	bool done;
	int result;
	bool device; /* the rest is set */
	struct store_hot hot;
	uint64_t expires_ms;
	char endpoint[STORE_ENDPOINT_MAX + 1];
	size_t record_len;
	char record[STORE_RECORD_MAX + 1];
};
/* The result lies in one static place until the next call. */
const struct found *find_now(struct fixture *f, struct store_key key);
const struct found *claim_now(struct fixture *f, struct store_key key, const struct store_fence *expected);
/* What a new process does to have a device that is stored as `hot`; its fence is changed accordingly. */
void take_over(struct fixture *f, const char *endpoint, struct store_hot *hot);
/* How many devices there are, if the store counts them. */
void assert_devices(const struct fixture *f, uint64_t count);
void claim_later(struct fixture *f, struct store_key key, const struct store_fence *expected,
		 struct found *out);

enum { EVENTS_KEPT = 256 };
struct events {
	bool done;
	int result;
	bool gap;
	struct store_cursor lost_to;
	struct store_cursor next;
	size_t count; /* the first EVENTS_KEPT are in `items` */
	struct {
		uint64_t sequence, time_ms;
		uint8_t type;
		char endpoint[64];
		char body[64];
	} items[EVENTS_KEPT];
};
/* Read now, or when the millisecond is over that is open. */
const struct events *events_now(struct fixture *f, struct store_cursor after, size_t count);

void assert_hot_equal(const struct store_hot *a, const struct store_hot *b);
struct store_stats stats_of(const struct fixture *f);

/* Tests of one theme. */
struct theme {
	const struct CMUnitTest *tests;
	size_t count;
};
extern const struct theme devices_theme, events_theme, documents_theme, requests_theme, restart_theme,
	load_theme;
