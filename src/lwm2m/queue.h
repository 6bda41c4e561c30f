/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "lwm2m/core.h"

/* What the files about queued requests share: queue.c, queue_send.c, queue_look.c. */

enum {
	QUEUE_ENDED_MAX = 16,		/* requests of a device that are over and still told */
	QUEUE_ENDED_BYTES = 256 * 1024, /* ... of together so many bytes */
	QUEUE_RETRY_MS = 5000,		/* the store could not, or somebody was busy */
};

/* A request in the store, as it was seen there. */
struct entry {
	struct list node;
	uint64_t deadline_ms;
	struct blob *body; /* NULL: it is over, and told */
	size_t size;	   /* of its body */
	uint8_t state;
	uint8_t id_len;
	uint8_t id[STORE_REQUEST_ID_MAX];
};

/* A request whose end is being written: the request's row, and the device's event. */
struct ending {
	struct list node; /* in queue->endings */
	struct queue *queue;
	struct entry *entry;
	struct blob *body; /* as it will be kept */
	uint64_t keep_ms;  /* Unix time: until then */
	uint8_t state;
	bool stored, told;
	unsigned pending;	  /* calls that are not called back */
	lwm2m_cancelled_fn *done; /* NULL: nobody waits */
	void *ctx;
};

struct cancel {
	struct list node;
	uint8_t id_len;
	uint8_t id[STORE_REQUEST_ID_MAX];
	lwm2m_cancelled_fn *done;
	void *ctx;
};

enum queue_phase {
	QUEUE_IDLE,
	QUEUE_MARKING, /* `current` is written as sent, and not sent yet */
	QUEUE_SENT,
};

/*
 * What is known of the queue of one device. It exists while there is something to know; what waits is in the
 * store, and here only while the device is awake.
 */
struct queue {
	struct lwm2m_server *server;
	struct device *device; /* NULL: gone, and this waits for the store's calls */
	unsigned calls;	       /* of the store, that are not called back */
	struct list turn;      /* in server->queues.looks or .turns */
	struct timer timer;
	struct list entries; /* that wait, in order, as far as they were read */
	bool more;	     /* others wait in the store */
	struct entry *current;
	struct operation *op; /* that of `current`; NULL: it is over */
	enum queue_phase phase;
	bool looking, again; /* ... and once more */
	bool look_failed;
	uint32_t changes, look_changes; /* of what is stored; as they were when the look began */
	struct list seen;		/* by the look */
	struct list endings;
	struct list cancels;
	unsigned adding;
	uint32_t live;	      /* requests that are not over */
	size_t bytes;	      /* of them */
	uint32_t ended;	      /* requests that are over, and kept */
	uint64_t deadline_ms; /* Unix time: the first of those that wait; UINT64_MAX: none */
	uint64_t retry_ms;    /* of the timers; 0: nothing is to be tried again */
};

static inline struct span entry_id(const struct entry *e)
{
	return span_of(e->id, e->id_len);
}

static inline struct store_key queue_key(const struct queue *q)
{
	return (struct store_key){STORE_MANAGEMENT, device_endpoint(q->device)};
}

/* ---- queue.c ---- */

/* That of the device, made if it has none; NULL: memory is out. */
struct queue *queue_of(struct device *d);
void entry_free(struct entry *e);
/* It looks, or sends the next request, when it is its turn. */
void queue_schedule(struct queue *q);
/* Nothing is under way now: frees it if there is nothing left to know, or sets its timer. */
void queue_settle(struct queue *q);
/* Something could not be done; all of it is tried again. */
void queue_retry(struct queue *q);
void queue_forget_entries(struct queue *q);
/* Writes a request's row. `done` is called later, with the queue; -errno: it is not. */
int queue_set(struct queue *q, const struct entry *e, uint8_t state, uint64_t deadline_ms, struct span body,
	      store_request_fn *done, void *ctx);
/* A call of the store came back. False: the device is gone, and so may be the queue. */
bool queue_called_back(struct queue *q);

/* ---- queue_send.c ---- */

/* Sends the next request if it can. True: one was begun. */
bool queue_step(struct queue *q);

/* ---- queue_look.c ---- */

void queue_look(struct queue *q);
/* The request is over. Takes `e`. `answer`: what the device answered, NULL: nothing. */
void queue_end(struct queue *q, struct entry *e, uint8_t state, const struct lwm2m_answer *answer,
	       const char *error, struct cancel *by);
void queue_retry_endings(struct queue *q);
/* The device goes: whoever waits is told, what is not under way is freed. */
void queue_drop_endings(struct queue *q);
