/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/private.h"

/* The sending half of one event stream: blocks that wait for one client. Where they come from is events.c. */

/* Text that may be shared by several streams. */
struct block {
	unsigned refs;
	struct buffer text;
};
/* Takes what `text` owns; one reference. NULL if memory is out or `text` has failed. */
struct block *block_new(struct buffer *text);
void block_release(struct block *b);

struct stream {
	struct list node;
	struct events *events;
	struct http_request *request; /* NULL: the client is gone */
	struct store_cursor position; /* everything up to here is queued, sent, or not for this stream */
	struct store_cursor sent;     /* what is queued begins behind this */
	struct store_cursor told;     /* the last id that was queued */
	struct list queue;
	size_t queued;	      /* bytes in the queue, without what of the first block is sent */
	size_t offset;	      /* sent of the first block */
	uint64_t progress_ms; /* of the loop's clock: last time the client took something, or something came
				 for it */
	bool live;	      /* gets each event as it is read once for all; else reads the log on its own */
	bool blocked;	      /* there was no room for the next block: it waits until the queue is empty */
	bool finished;	      /* nothing comes behind what is queued */
	bool filtered;
	struct span ep; /* with `filtered`: only events of this endpoint; own memory */
	struct log_read *reading;
};

/* Queues a reference of `b`, which stands for everything up to `at`. -ENOMEM. */
int stream_push(struct stream *s, struct block *b, struct store_cursor at) NODISCARD;
/* Drops what has not begun to be sent. `sent` is then the place to resume from. */
void stream_drop(struct stream *s);
/* Moves up to `max` bytes out of the queue. */
size_t stream_take(struct stream *s, char *out, size_t max);
