/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/log.h"
#include "coap/layer.h"
#include "codec/codec.h"
#include "lwm2m/event.h"
#include "store/store.h"

/*
 * The management server: registration, device management and information reporting for all devices of a node.
 * Sans-IO: datagrams, time and the results of writes go in, datagrams and writes come out through `struct
 * lwm2m_host`. It uses the store's data types, never its functions; the daemon, scenario replays and fuzzers
 * plug in what they have.
 *
 * The rule it keeps: nothing is acknowledged to a device before the write of its effect was called back as
 * stored.
 */

struct lwm2m_server;
struct device;
enum { LWM2M_CID_MAX = 32 };

/*
 * What is below CoAP where there is DTLS (dtls/endpoint.h). `peer` is the address of an association: it never
 * changes, wherever the device is.
 */
enum lwm2m_guard {
	LWM2M_UNGUARDED, /* it has no credentials */
	LWM2M_GUARDED,	 /* it has, and has to use them */
	LWM2M_GUARD_UNKNOWN,
};
typedef void lwm2m_guard_fn(void *arg, enum lwm2m_guard guard);

struct lwm2m_security {
	void *ctx;
	/* Whether `endpoint` has credentials. False: it has none; true: `done` is called, once, perhaps
	 * within the call. */
	bool (*guard)(void *ctx, struct span endpoint, lwm2m_guard_fn *done, void *arg);
	/* Whose the credential is with which the association was made. False: it is bound already, or gone.
	 * Borrowed until the next call. */
	bool (*claim)(void *ctx, const struct address *peer, struct span *endpoint);
	/* Where its device is, and what tells its session from others of the device, also after a restart.
	 * False: it is gone. */
	bool (*place)(void *ctx, const struct address *peer, struct address *out, uint64_t *session);
	/* It belongs to a device now; it does no longer, but to whoever may claim `endpoint`; it is to end.
	 */
	void (*bind)(void *ctx, const struct address *peer);
	void (*unbind)(void *ctx, const struct address *peer, struct span endpoint);
	void (*drop)(void *ctx, const struct address *peer, bool say);
	/* Its session, sealed for the record of this device at this generation; nothing if it is gone. */
	void (*save)(void *ctx, const struct address *peer, struct span endpoint, uint32_t generation,
		     struct buffer *out);
	/* Makes an association of what was saved. False: it cannot go on. */
	bool (*restore)(void *ctx, struct span endpoint, struct span sealed, uint32_t generation,
			uint64_t mark, struct address *peer);
	/* Somebody used a credential for a device that it is not for. */
	void (*mismatch)(void *ctx, const struct address *peer, struct span endpoint);
	/* What was saved after lwm2m_server_spent is stored. */
	void (*renew)(void *ctx, const struct address *peer);

	/* What a device that moves needs; NULL where none does (`give` and `take` are not called then). */

	/* It opens no record any more, or does again (dtls_endpoint_hold). */
	void (*hold)(void *ctx, const struct address *peer, bool held);
	/* The session as another node goes on with it, sealed. It is held, and seals nothing any more, until
	 * it is dropped or held no longer. Nothing: it is gone. */
	void (*carry)(void *ctx, const struct address *peer, struct span endpoint, struct buffer *out);
	/* Makes an association of what was carried here. False: it cannot go on like this. */
	bool (*arrive)(void *ctx, struct span endpoint, struct span carried, struct address *peer);
	/* By what the records of a saved session are found: its connection id (copied to `cid`, its length in
	 * *len), or, with *len 0, the address of its peer. False: it cannot be read. */
	bool (*locate)(void *ctx, struct span endpoint, struct span sealed, uint8_t cid[LWM2M_CID_MAX],
		       size_t *len, struct address *peer);
};

/* ---- a device that is not here ---- */

enum lwm2m_named {
	LWM2M_BY_ENDPOINT, /* a Register, or a session that was made for it (`datagram` is empty then) */
	LWM2M_BY_ID,	   /* Update, De-register: `name` is the registration id */
	LWM2M_BY_TOKEN,	   /* a response or notification: `name` is the token */
	LWM2M_BY_ADDRESS,  /* `from` is all that names it; never of a session */
};

/* What a datagram says of whose it is. Everything is borrowed for the call. */
struct lwm2m_wanted {
	enum lwm2m_named by;
	struct span endpoint; /* BY_ENDPOINT; and of a device that is here, but is being given away */
	bool leaving;	      /* ... as this one is */
	uint32_t hash;	      /* BY_ID, BY_TOKEN: for store_find_hash */
	struct span name;
	struct span claim; /* endpoint that the sender's credential is for; empty: unknown, or not secure */
	const struct address *from;
	bool secure;	 /* `from` is an association, ... */
	uint64_t number; /* ... and this the number of the record */
	struct span datagram;
};

/* Where an operation began: its caller waits there. */
struct lwm2m_origin {
	uint32_t node;
	uint64_t incarnation;
	uint64_t ticket; /* 0: nobody waits */
};

struct lwm2m_answer;

/* The queues of requests, as in store.h. `ctx` is the host's. */
struct lwm2m_queue_store {
	int (*add)(void *ctx, struct store_key key, const struct store_request *r, size_t max,
		   store_request_fn *done, void *done_ctx);
	int (*set)(void *ctx, struct store_key key, const struct store_fence *fence,
		   const struct store_request *r, store_request_fn *done, void *done_ctx);
	int (*list)(void *ctx, struct store_key key, store_request_fn *each, void *done_ctx);
};

struct lwm2m_host {
	void *ctx;
	void (*send)(void *ctx, const struct address *to, struct span datagram);
	/* As store_write. */
	int (*write)(void *ctx, const struct store_write *w, store_written_fn *done, void *done_ctx);
	uint64_t (*wall_ms)(void *ctx);	       /* Unix time */
	uint64_t (*mono_ms)(void *ctx);	       /* the clock of `timers` */
	const struct lwm2m_security *security; /* NULL: no DTLS */
	const struct lwm2m_queue_store *queue; /* NULL: nothing is queued; a request is sent, or refused */
	/*
	 * A datagram names a device that is not here, or is leaving. True: the host has it now; it may copy
	 * it, and give it to lwm2m_server_input_asked when it knows more (not from within), or forget it: the
	 * device sends again. False: nobody knows more; it is answered as from a device that does not exist,
	 * or dropped if the device is leaving. NULL: all devices are here.
	 */
	bool (*fetch)(void *ctx, const struct lwm2m_wanted *wanted);
	/* An operation that came with its device is over (lwm2m_server_answered is where it goes). Everything
	 * is borrowed for the call. NULL: no device comes. */
	void (*answer)(void *ctx, const struct lwm2m_origin *origin, const struct lwm2m_answer *answer);
};

/* Requests to devices in queue mode (lwm2m.md, 1.7). */
struct lwm2m_queue_config {
	uint64_t ttl_ms;       /* of a request that does not say: 24 h */
	uint64_t ttl_max_ms;   /* no request waits longer: 30 days */
	uint64_t keep_ms;      /* how long what became of it is kept: 24 h */
	uint32_t requests_max; /* that wait for one device: 32 */
	uint32_t bytes_max;    /* of them together: 256 KiB */
	uint32_t attempts_max; /* how often one is sent before it has failed: 10 */
	uint32_t rate;	       /* how many are sent in a second, to all devices together: 1000 */
};

struct lwm2m_config {
	bool strict; /* refuse what the specification forbids even where devices in the field do it */
	bool shared_credentials; /* a credential may register any endpoint that has none of its own (S13) */
	uint32_t default_lifetime_s; /* a Register without lt: 86400 */
	uint32_t lifetime_grace_ms;  /* added to the lifetime before a device expires: 93000 */
	uint32_t awake_ms; /* a queue-mode device is awake for this long after its last message: 93000 */
	size_t devices_max;
	size_t requests_max; /* northbound requests in work, all devices together */
	bool index; /* writes say by which address or connection id a device is found (for a cluster) */
	struct lwm2m_queue_config queue;
	uint32_t observe_rate; /* Observes of ours in a second, to all devices together: 1000 */
	struct coap_params coap;
	struct siphash_key hash_key; /* store_hash_key */
	struct store_fence fence;    /* node and incarnation of this owner */
};
void lwm2m_config_init(struct lwm2m_config *c);

/* `registry`, `timers`, `random`, `log` and what `host` points to are borrowed until lwm2m_server_free. */
struct lwm2m_server *lwm2m_server_new(const struct lwm2m_config *config, const struct lwm2m_host *host,
				      const struct registry *registry, struct timers *timers,
				      struct random *random, struct log *log) NODISCARD;
/* Calls back no request and sends nothing. All writes must have been called back. */
struct lwm2m_server *lwm2m_server_free(struct lwm2m_server *s);

/* Restores one device found in the store, before the first datagram. -EPROTO: its record cannot be read. */
int lwm2m_server_restore(struct lwm2m_server *s, const struct store_device *stored);
/* One datagram from a device, without security. */
void lwm2m_server_input(struct lwm2m_server *s, const struct address *from, struct span datagram);
/* One from an association, in the record with this number. */
void lwm2m_server_input_secure(struct lwm2m_server *s, const struct address *peer, uint64_t number,
			       struct span datagram);
/* There is an association with a claim to `endpoint`: if that is registered, it is reached by it from now on.
 */
void lwm2m_server_established(struct lwm2m_server *s, const struct address *peer, struct span endpoint);
/* An association that is bound has few record numbers left: its device's session is stored anew, and then
 * `renew` is called. */
void lwm2m_server_spent(struct lwm2m_server *s, const struct address *peer);
/* An association that was bound is gone. */
void lwm2m_server_closed(struct lwm2m_server *s, const struct address *peer);
/* What `endpoint` authenticated with is no longer valid: its association ends, its registration stays. */
void lwm2m_server_revoke(struct lwm2m_server *s, struct span endpoint);

/* ---- what the northbound side sees ---- */

const struct registry *lwm2m_registry(const struct lwm2m_server *s);
size_t lwm2m_device_count(const struct lwm2m_server *s);
/* A registered device, or NULL. Valid until control returns to the loop. */
struct device *lwm2m_find(struct lwm2m_server *s, struct span endpoint);
/* Walks over all registered devices, in no order: *cursor 0 at first; NULL at the end. Devices that come or
 * go between calls may or may not be seen; each other device once. */
struct device *lwm2m_next(struct lwm2m_server *s, uint32_t *cursor);
struct span device_endpoint(const struct device *d);
/* The registration as it is stored; borrows from the device until control returns to the loop. */
void device_registration(const struct device *d, struct registration *out);
/* Unix time of the last Register or Update. */
uint64_t device_seen_ms(const struct device *d);
/* Always true for a device without queue mode. */
bool device_is_awake(const struct lwm2m_server *s, const struct device *d);

enum lwm2m_operation {
	LWM2M_READ,
	LWM2M_DISCOVER,
	LWM2M_WRITE,	     /* replace: PUT */
	LWM2M_WRITE_PARTIAL, /* POST */
	LWM2M_WRITE_ATTRIBUTES,
	LWM2M_EXECUTE,
	LWM2M_CREATE,
	LWM2M_DELETE,
	LWM2M_OBSERVE,	       /* answered when the observation is stored; replaces one on the same path */
	LWM2M_CANCEL_OBSERVE,  /* active: GET with Observe 1 */
	LWM2M_READ_COMPOSITE,  /* FETCH; the path is the root, `paths` says what */
	LWM2M_WRITE_COMPOSITE, /* iPATCH; the path is the root */
	LWM2M_OBSERVE_COMPOSITE,
	LWM2M_CANCEL_COMPOSITE, /* active; `paths` in the same order */
};

enum lwm2m_outcome {
	LWM2M_ANSWERED,	  /* by the device: code, format, payload, location */
	LWM2M_TIMEOUT,	  /* no answer in time */
	LWM2M_REJECTED,	  /* RST */
	LWM2M_CANCELLED,  /* the device registered anew or left, or the server stops */
	LWM2M_INVALID,	  /* the answer makes no sense for this request (`error`) */
	LWM2M_NOT_STORED, /* the device answered, but its effect (an observation) could not be stored; or the
			     request could not be queued */
	LWM2M_QUEUED,	  /* it waits until the device wakes: `request_id`; its end is an event */
	LWM2M_UNKNOWN,	  /* it may have been done or not: the node that had the request is gone */
};

struct lwm2m_answer {
	enum lwm2m_outcome outcome;
	uint8_t code;
	uint16_t format;	/* Content-Format, COAP_FORMAT_NONE if absent */
	struct span payload;	/* content, link list (Discover), or diagnostic text */
	struct span location;	/* Create: "3303/1", empty if there was none */
	const char *error;	/* words for the caller, or NULL */
	struct span request_id; /* QUEUED */
	uint64_t expires_ms;	/* QUEUED: Unix time */
};
/* Called once, later, never from lwm2m_request. Everything is borrowed for the call. The device may be gone:
 * look it up. */
typedef void lwm2m_done(void *ctx, const struct lwm2m_answer *answer);

enum { LWM2M_PATHS_MAX = 64, LWM2M_BODY_MAX = 1 << 20 };
#define LWM2M_TTL_DEFAULT UINT64_MAX

struct lwm2m_request {
	enum lwm2m_operation operation;
	struct path path; /* Create: the object */
	uint16_t format;  /* wanted for the answer, or of what is written; FORMAT_NONE: chosen by what the
			     device can (D4, D5) */
	const struct record *records; /* Write, Create: sorted, below path; borrowed for the call */
	size_t record_count;
	const struct path *paths; /* composites: at most LWM2M_PATHS_MAX; borrowed for the call */
	size_t path_count;
	uint16_t path_format; /* of the list of paths (110, 112), FORMAT_NONE: chosen */
	uint16_t instance;    /* Create: wanted instance id, PATH_ID_NONE: the device chooses */
	struct span
		arguments; /* Execute: text; Write-Attributes: query "pmin=10&gt" ; borrowed for the call */
	uint64_t timeout_ms;
	/* How long it may wait for a device in queue mode that sleeps, or has requests that came before.
	 * LWM2M_TTL_DEFAULT; 0: it is sent at once, past the queue, whatever is known of the device. */
	uint64_t ttl_ms;
};

enum lwm2m_refusal {
	LWM2M_REFUSED_PATH = 1,	   /* wrong depth for this operation, or too many paths */
	LWM2M_REFUSED_PAYLOAD = 2, /* cannot be encoded in this format */
	LWM2M_REFUSED_ATTRIBUTES = 3,
	LWM2M_REFUSED_ARGUMENTS = 4,
	LWM2M_REFUSED_BUSY = 5,		  /* too many requests wait for this device, or in all */
	LWM2M_REFUSED_NO_OBSERVATION = 6, /* Cancel: there is none on this path */
	LWM2M_REFUSED_LIMIT = 7,	  /* Observe: the device has REGISTRATION_OBSERVATIONS_MAX */
	LWM2M_REFUSED_UNREACHABLE = 8,	  /* no DTLS session, which the device alone can begin */
	LWM2M_REFUSED_MOVING = 9,	  /* the device is on its way to another node: ask there, or again */
};
/*
 * Starts a request. 0: `done` will be called; *ticket (not 0) names it for lwm2m_request_cancel. > 0: an enum
 * lwm2m_refusal and words in `error`. < 0: -ENOMEM.
 */
int lwm2m_request(struct lwm2m_server *s, struct device *d, const struct lwm2m_request *r, lwm2m_done *done,
		  void *ctx, uint64_t *ticket, char error[160]) NODISCARD;
/* Nobody waits any more: `done` will not be called. Harmless if it is over. A request that is being queued is
 * queued all the same. */
void lwm2m_request_cancel(struct lwm2m_server *s, uint64_t ticket);

/* The device number `nth` (from 0) with this hash (queued_id_hash), in whatever state; NULL: there are no
 * more.
 */
struct device *lwm2m_find_hash(struct lwm2m_server *s, uint32_t hash, unsigned nth);
enum lwm2m_cancelled {
	LWM2M_CANCEL_DONE = 0,	 /* it was not sent, and will not be; its end is stored */
	LWM2M_CANCEL_LATE = 1,	 /* it is sent, or over */
	LWM2M_CANCEL_ABSENT = 2, /* this device has no such request */
	LWM2M_CANCEL_FAILED = 3, /* the store cannot tell, or cannot write now */
};
typedef void lwm2m_cancelled_fn(void *ctx, enum lwm2m_cancelled result);
/* Takes a queued request back. `done` is called once, later. -ENOMEM; -ENOTSUP: nothing is queued here. */
int lwm2m_queue_cancel(struct lwm2m_server *s, struct device *d, struct span id, lwm2m_cancelled_fn *done,
		       void *ctx) NODISCARD;
/*
 * Forgets the observation on exactly this path (or, `path_count` > 0, the composite on exactly these paths in
 * this order; `path` is the root then); the next notification is answered with RST. `done` gets
 * LWM2M_ANSWERED (code 0) once that is stored, at once if there is none. -ENOMEM; -EAGAIN: the device is on
 * its way to another node.
 */
int lwm2m_forget_observation(struct lwm2m_server *s, struct device *d, const struct path *path,
			     const struct path *paths, size_t path_count, lwm2m_done *done,
			     void *ctx) NODISCARD;
/*
 * Policies (lwm2m/policy.h). `body` is one, encoded; 0, -EPROTO, -ENOSPC: there are POLICIES_MAX. It is
 * brought to all devices it is for, at a pace; what one made ends when it is dropped, or changes: it is
 * forgotten, and the next notification is answered with RST.
 */
int lwm2m_policy_set(struct lwm2m_server *s, struct span name, struct span body) NODISCARD;
/* Whether there is room for one of this name. */
bool lwm2m_policy_fits(const struct lwm2m_server *s, struct span name);
void lwm2m_policy_drop(struct lwm2m_server *s, struct span name);
/* Between these all that are stored are set; those that were not are dropped. Until the first end none is
 * missed. */
void lwm2m_policies_begin(struct lwm2m_server *s);
void lwm2m_policies_end(struct lwm2m_server *s);
/* Of struct observation.origin; empty: it is none of a policy. Borrowed until it is dropped. */
struct span lwm2m_policy_name(const struct lwm2m_server *s, uint32_t origin);
/* Exactly these observations are declared for one device: others that were are forgotten. `done` gets
 * LWM2M_ANSWERED (code 0) once that is stored; the device is asked afterwards. -ENOMEM; -EAGAIN: it is on its
 * way to another node. */
struct policy;
int lwm2m_declare(struct lwm2m_server *s, struct device *d, const struct policy *wanted, lwm2m_done *done,
		  void *ctx) NODISCARD;
/* Removes the registration (not told to the device, which learns it by 4.04 at its next Update). Errors as
 * above. */
int lwm2m_remove(struct lwm2m_server *s, struct device *d, lwm2m_done *done, void *ctx) NODISCARD;

/* ---- devices that move between servers (architecture, rules 4, 6 and 10) ---- */

/*
 * The flow of a hand-over from A to B. A: lwm2m_server_give; the host writes what `ready` gets with
 * store_hand_over, and sends the luggage to B; lwm2m_server_given. B: lwm2m_server_take with the device as it
 * is stored now, and the luggage; then the datagram that made it move, by lwm2m_server_input_asked. Where A
 * does not answer: B claims, and takes without luggage.
 *
 * None of these may be called from within `send`, `write`, `fetch` or a function of `security`.
 */

/* As lwm2m_server_input or _secure, of a datagram that `fetch` was asked about: it is not asked again. */
void lwm2m_server_input_asked(struct lwm2m_server *s, const struct address *from, bool secure,
			      uint64_t number, struct span datagram);
/*
 * Whether `stored` may be what is wanted, and the sender may speak for it: the id or token is in its record
 * (a token of a request is in none, and is let pass), a plain datagram is of a device without security,
 * another one of the device of its credential. It does not authenticate a plain datagram.
 */
bool lwm2m_wanted_is(const struct lwm2m_server *s, const struct lwm2m_wanted *wanted,
		     const struct store_device *stored);

enum { LWM2M_LUGGAGE_MAX = 900 * 1024 };
/*
 * `result` 0: `w` is the write that hands the device over, fenced and with the next number, to be done as it
 * is; `luggage` is what lives in memory only. Both are borrowed for the call. From now on nothing of the
 * device is sent, sealed or written here, until lwm2m_server_given. -ENOENT: it is gone meanwhile. -ENOMEM:
 * it stays.
 */
typedef void lwm2m_ready_fn(void *ctx, int result, const struct store_write *w, struct span luggage);
/*
 * Gives a device away: takes no datagram of it any more, stops its time, and waits until what it writes is
 * called back. Then `ready` is called, once, later. -ENOENT: it is not here, or not stored yet;
 * -EALREADY; -ENOMEM: it goes on as if nothing had been asked.
 */
int lwm2m_server_give(struct lwm2m_server *s, struct span endpoint, lwm2m_ready_fn *ready,
		      void *ctx) NODISCARD;
enum lwm2m_given {
	LWM2M_GONE, /* it is another node's, which has the luggage or will get it: those who asked here wait
		       on */
	LWM2M_KEPT, /* for certain it was not handed over: it goes on here */
	LWM2M_LOST, /* nobody knows, or the luggage is lost: whoever owns it goes on from the store */
};
/* How it ended. Before `ready`, only KEPT makes sense, and ready is not called any more. Harmless if it is
 * not being given. */
void lwm2m_server_given(struct lwm2m_server *s, struct span endpoint, enum lwm2m_given how);
/*
 * The device is this server's now, as stored->hot.fence says; one that is here from before is forgotten. With
 * luggage it goes on exactly; what of it cannot be read is left out. Without (empty) it goes on as after a
 * restart. A tombstone (without a record): its next Register is written above it. -EPROTO: the record cannot
 * be read; -EEXIST: it is here, and no older; -ENOMEM, -ENOSPC: too many devices.
 */
int lwm2m_server_take(struct lwm2m_server *s, const struct store_device *stored,
		      struct span luggage) NODISCARD;
/* Another node owns it, by this generation: one that is here by an older one is forgotten at once, without a
 * word to the device. Whoever waits is told LWM2M_UNKNOWN. Harmless if it is not here. */
void lwm2m_server_drop(struct lwm2m_server *s, struct span endpoint, uint32_t gen);
/* The store has nothing of it, though it is registered here: all of it is written anew. Harmless if it is
 * not. */
void lwm2m_server_missing(struct lwm2m_server *s, struct span endpoint);
/* Whether it is here, registered or not, and not being given away. */
bool lwm2m_server_has(struct lwm2m_server *s, struct span endpoint);
/* By which address it is reached: that of its association, or a plain one. False: it is not here, or by none.
 */
bool lwm2m_server_peer(struct lwm2m_server *s, struct span endpoint, struct address *peer);
/* Whether a device is reached at this address, by this socket. */
bool lwm2m_server_reaches(struct lwm2m_server *s, const struct address *address);
/* Walks over all that lwm2m_server_has, as lwm2m_next. False at the end; `endpoint` is valid until control
 * returns to the loop. */
bool lwm2m_server_walk(struct lwm2m_server *s, uint32_t *cursor, struct span *endpoint);
/* Unix time at which somebody has to look at a stored device; 0: never. */
uint64_t lwm2m_stored_expires_ms(const struct lwm2m_server *s, const struct store_device *stored);

/* The answer to an operation that began here with this ticket, and left with its device. Ignored if nobody
 * waits. */
void lwm2m_server_answered(struct lwm2m_server *s, uint64_t ticket, const struct lwm2m_answer *answer);
/* The node that has the operations of this device which began here is dead, or took it over without them:
 * they end as LWM2M_UNKNOWN. */
void lwm2m_server_abandoned(struct lwm2m_server *s, struct span endpoint);

/* An answer as bytes. < 0: `out` is full. */
int lwm2m_answer_encode(const struct lwm2m_answer *answer, struct buffer *out) NODISCARD;
/* The answer borrows from `bytes`. -EPROTO: no answer. */
int lwm2m_answer_decode(struct span bytes, struct lwm2m_answer *out) NODISCARD;

/* Whether a token names an observation; else a request, of which no record tells. */
bool lwm2m_token_is_observation(struct span token);

/* By which key a plain device, or a session without connection id, is found under STORE_INDEX_ADDRESS: the
 * same on every node. Returns the key, which lies in `key`. */
enum { LWM2M_ADDRESS_KEY = 1 + 16 + 2 };
struct span lwm2m_address_key(const struct address *a, uint8_t key[LWM2M_ADDRESS_KEY]);

struct lwm2m_stats {
	uint64_t registers, updates, deregisters, expiries, notifications, notifications_stale, duplicates,
		unknown_tokens;
	uint64_t sends, refused, not_stored, requests, request_timeouts;
	uint64_t queued, queued_sent, queued_ended[QUEUED_STATES]; /* the last by their state */
	uint64_t given, taken, dropped;				   /* devices that moved */
	uint64_t restored; /* devices written anew to a store that had lost of them */
	size_t devices, observations, requests_active;
	struct coap_stats coap;
};
void lwm2m_stats(const struct lwm2m_server *s, struct lwm2m_stats *out);
