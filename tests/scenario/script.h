/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/arena.h"
#include "text.h"
#include "world.h"

/* A script that runs: its devices, what it has heard from the server, and where it failed. Private to the
 * runner. */

enum { PEERS_MAX = 16, KEPT_MAX = 16, RULES_MAX = 16, WORDS_MAX = 2048 };

struct datagram {
	struct datagram *next;
	size_t len;
	uint8_t data[COAP_MESSAGE_MAX];
};

/* A device answers such requests by itself. */
struct rule {
	char method[8], path[32];
	char answer[400];
};

struct peer {
	struct script *script;
	char name[NAME_MAX_LEN + 1];
	char endpoint[128];
	struct address address;
	uint16_t next_mid;
	struct datagram *inbox;
	struct datagram last_out, last_in; /* sent, read from the inbox; len 0: none yet */
	uint16_t out_mid, in_mid; /* of the last message that went out, of the last request that came in */
	struct coap_token out_token, in_token;
	struct {
		char name[NAME_MAX_LEN + 1];
		struct datagram datagram;
	} * kept;
	size_t kept_count;
	struct rule *rules;
	size_t rule_count;
	struct {
		uint16_t mid;
		size_t rule;
	} answered[8]; /* so that a retransmission is answered alike */
	size_t answered_count;
};

/* A line that the northbound side heard, in the order of arrival. */
struct heard {
	struct heard *next;
	char text[WORDS_MAX];
};

struct request_note;

struct script {
	const char *path;
	unsigned line;
	bool started;
	struct world world;
	struct arena arena;
	struct variables variables;
	struct peer *peers;
	size_t peer_count;
	struct peer *current;
	struct heard *answers;
	struct request_note *requests;
	uint64_t last_ticket;
	size_t events_read;
	size_t strays; /* datagrams to addresses of no device */
	char error[4096];
};

bool script_fail(struct script *s, const char *format, ...) PRINTF_LIKE(2, 3);
/* Starts the server if it does not run yet. */
void script_start(struct script *s);
/* The device that the next word names, or the current one if there is no such name; NULL: none. */
struct peer *script_peer(struct script *s, const char **at);

/* ---- northbound.c ---- */

/* Runs the line if its first word is an operation on devices; *known says whether. */
bool northbound_command(struct script *s, struct span command, const char *at, bool *known);
bool expect_command(struct script *s, const char *at);
/* What was heard and not expected; NULL if there is nothing. */
const char *northbound_unread(struct script *s, char *text, size_t size);
void northbound_drain(struct script *s);
void northbound_deinit(struct script *s);

/* ---- script.c ---- */

/* Runs a script; false: `report` (to be freed) says where and why it failed. */
bool script_run(const char *path, char **report);

/* ---- soak.c ---- */

struct soak_options {
	unsigned devices, seconds;
	uint64_t seed;
	unsigned loss, duplicate, reorder, fail_permille;
	unsigned crashes; /* how many, spread over the time */
};
/* Devices that act at random, and what must hold for them; false: `error` says what did not. `summary` says
 * what happened. */
bool soak_run(const struct soak_options *o, char error[400], char summary[200]);

/* ---- soak_queue.c ---- */

/* The same of devices in queue mode, and of the requests that wait for them. */
bool soak_queue_run(const struct soak_options *o, char error[400], char summary[200]);
