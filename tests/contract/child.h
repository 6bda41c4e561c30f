/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "contract.h"

#include <sys/types.h>

/*
 * A process of its own that opens a store and keeps writing to a few devices, several writes of each under
 * way, until it is killed, or its store fails. It reports on a pipe what was called back. Everything it
 * writes follows from a device's number alone, so whoever opens the store afterwards can say what each device
 * and the log must hold.
 */

enum { CHILD_DEVICES = 20, CHILD_DEPTH = 3 };

enum child_report_type { CHILD_OPENED, CHILD_STORED, CHILD_FAILED, CHILD_UNHEALTHY, CHILD_RECOVERED };
struct child_report {
	uint32_t type;
	uint32_t device;
	uint64_t number;
	int64_t error;
};

struct child {
	pid_t pid;
	int pipe;
};

/* `wrapper`: command and arguments to start it under, NULL-terminated, or NULL. */
void child_start(struct child *c, const struct place *place, uint32_t tail_max, const char *const *wrapper);
/* The next whole report within `timeout_ms`. False: the time is over, or the child has ended. */
bool child_read(struct child *c, int timeout_ms, struct child_report *out);
void child_kill(struct child *c);
/* Waits for its end. */
int child_wait(struct child *c);

/* main() of the child. */
int child_main(int argc, char **argv);

/* What a device has after its write `number`; fence and owner not. */
struct store_hot child_hot(uint64_t number);
/* The number whose write put the record that is there after write `number`. */
uint64_t child_record_number(uint64_t number);
const char *child_endpoint(char name[16], uint32_t device);

/* Opens the fixture's store and checks all of it against what was reported: `stored` has the last number per
 * device. */
void child_check_store(struct fixture *f, const uint64_t stored[CHILD_DEVICES]);
