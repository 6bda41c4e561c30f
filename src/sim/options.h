/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/address.h"
#include "model/registry.h"

#include <stdio.h>

/* What the command line of shoal-sim says. */
struct sim_options {
	char *server; /* as written; `address` is what it means */
	char *prefix; /* of endpoint names */
	char *ledger; /* file, or NULL */
	char *psk, *psk_file, *raw_keys, *key, *certificate, *trust; /* or NULL, as written */
	char *cid;
	char *write_credentials; /* file, or NULL */
	uint64_t count;
	uint64_t instances; /* of object 3303, per device */
	uint64_t rate;	    /* devices that start in a second */
	uint64_t lifetime_ms, update_ms, notify_ms, send_ms, duration_ms, awake_ms, retry_ms; /* 0: none */
	uint64_t rebind_ms;								      /* 0: never */
	uint64_t ack_timeout_ms;
	uint64_t loss_percent;
	uint64_t seed;	  /* 0: another one each time */
	unsigned version; /* index of --lwm2m's choices */
	bool confirmable, queue_mode, deregister, stay, json;
	bool coaps; /* or by the scheme of the server */
	bool resume, close_notify;
	int own_cid_len; /* -1: connection ids are not offered */
	bool help, show_version;
	struct address address;
};

/* What comes of reading the command line, besides < 0. */
enum options_outcome {
	OPTIONS_RUN = 0,
	OPTIONS_SHOWN = 1, /* --help or --version was asked for and printed on `out`: nothing left to do */
};

/*
 * Reads `argv` (without the program's name) into *o, which is initialised in any case and wants
 * sim_options_deinit. Errors are told on `error`: -EINVAL, -ENOMEM.
 */
int sim_options_parse(struct sim_options *o, int argc, char **argv, FILE *out, FILE *error) NODISCARD;
void sim_options_deinit(struct sim_options *o);
struct object_version sim_options_lwm2m(const struct sim_options *o);
