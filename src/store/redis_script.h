/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/* The scripts that Redis runs, as the build has put them together (scripts/embed.py). Each says at its top
 * what it does, its keys, its arguments and its answer. */

enum redis_script {
	REDIS_WRITE,
	REDIS_REMOVE, /* the same, but runs when memory is short */
	REDIS_CLAIM,
	REDIS_EXPIRED,
	REDIS_DUE,
	REDIS_EXPIRY_SET,
	REDIS_INDEX_UNDO,
	REDIS_DOCUMENT_PUT,
	REDIS_DOCUMENT_DELETE,
	REDIS_REQUEST_ADD,
	REDIS_REQUEST_SET,
	REDIS_REQUEST_REMOVE, /* the same, but runs when memory is short */
	REDIS_REQUEST_LIST,
	REDIS_LEASE_TAKE,
	REDIS_LEASE_DROP,
	REDIS_LEASE_LIST,
	REDIS_META,
	REDIS_STREAM_STATE,
	REDIS_TRIM,
	REDIS_TRIM_MARK,
	/* Of requests by backends (src/streams). */
	REDIS_INBOX_OPEN,
	REDIS_INBOX_HOLD,
	REDIS_INBOX_DONE,
	REDIS_TICKET_BEGIN,
	REDIS_TICKET_TELL,
	REDIS_TICKET_END,
	REDIS_WAITING_ADD,
	REDIS_WAITING_DUE,
	REDIS_WAITING_REMOVE,
	REDIS_BRIDGE_LEASE,
	REDIS_SCRIPTS,
};

struct redis_script_text {
	const char *name;
	const char *sha; /* 40 hexadecimal digits */
	const char *text;
};
extern const struct redis_script_text redis_scripts[REDIS_SCRIPTS];
