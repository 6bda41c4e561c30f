/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

/* What the files of this folder share. Nobody outside includes it. */

#include "base/pool.h"
#include "coap/block.h"
#include "lwm2m/policy.h"
#include "lwm2m/server.h"

/* A record on the heap. */
struct blob {
	uint32_t len;
	uint8_t bytes[];
};

static inline struct span blob_span(const struct blob *b)
{
	return b ? span_of(b->bytes, b->len) : span_of(NULL, 0);
}

/* Where the newest notification of one observation stands (RFC 7641, 3.4). Memory only: it starts anew after
 * a restart. */
struct freshness {
	uint32_t token; /* its last four bytes */
	uint32_t sequence;
	uint64_t at_ms;
};

/*
 * A device: the actor of architecture.md. It is in one of three states.
 *   registered: `record` is there and says present
 *   away:       `record` is there and says absent; wanted observations are kept until `timer`
 *   bare:       no record: its first Register is being written, or it left and its dedup memory is kept until
 * `timer` What is decided on (`device_latest`) may be ahead of what is stored (`record`); what is shown is
 * what is stored.
 */
struct queue;

struct device {
	struct lwm2m_server *server;
	struct timer timer; /* lifetime, retention, or end of a bare device */
	struct coap_peer peer;
	struct store_hot hot;	/* `number` counts the writes that were started */
	uint64_t number_stored; /* the last write that was called back as stored */
	uint64_t number_taken;	/* ... when its present generation began */
	struct blob *record;
	const struct blob *latest; /* the newest record being written, owned by its effect; NULL: `record` is
				      the newest */
	struct freshness *fresh;
	struct list operations;
	struct list awake;	  /* in server->queues.awake while it is: queue mode only */
	struct list observe_turn; /* in server->policies.turns while an Observe waits for its turn */
	struct queue *queue; /* what is known of its queue; NULL: nothing waits in it, unless queue_unknown */
	uint32_t hash;
	uint32_t slot;	  /* index into server->slots */
	uint32_t heard_s; /* Unix time of its last message */
	/* Formats it was seen to understand since it registered (D4, D5); COAP_FORMAT_NONE: none yet. */
	uint16_t good_read, good_single, good_write;
	uint16_t inflight;	  /* writes not called back yet */
	uint16_t queue_number;	  /* store_written.queue, as it was seen last */
	uint8_t held;		  /* somebody up the stack goes on with it: not freed */
	uint32_t non_hash, non_s; /* the last non-confirmable message, and when (Unix time) */
	uint8_t fresh_count;
	bool located;	    /* in server->addresses */
	bool bare_read;	    /* reads go without Accept: it refused ours, or stayed silent */
	bool sleeps;	    /* queue mode, as its record says */
	bool queue_unknown; /* nobody has looked yet what waits for it in the store */
	bool queue_counted; /* queue_number was seen */
	bool failing;	    /* a write failed and others are in flight: no new ones until they are back */
	bool behind;	    /* the store has less of it than we do: all of it is written anew */
	bool forgotten;	    /* another owner has it: found no more, freed once nothing is in flight */
	uint8_t moving;	    /* enum moving */
	bool session_gone;  /* its association ended while it was packed */
	uint8_t endpoint_len;
	uint8_t endpoint[];
};

/* A datagram that is being worked on. */
struct incoming {
	const struct address *from;
	struct span datagram;
	const struct coap_message *m;
	uint64_t now_ms;
	uint32_t hash;	      /* of datagram and source, for dedup memory */
	bool fetched;	      /* the host was asked whose it is */
	bool asked;	      /* a Register of which it is known that its endpoint has no credentials */
	bool secure;	      /* `from` is an association, ... */
	uint64_t number;      /* ... and this the number of the record; */
	struct address place; /* where the device is */
};

struct operation;
struct effect;
typedef void effect_fn(struct effect *e, bool stored);

/* What follows when a write was stored, or was not. Lives from device_write until it is settled. */
struct effect {
	struct device *device;
	effect_fn *settle;
	struct blob *record;	 /* taken by device_write; becomes the device's record when stored */
	const struct blob *mark; /* what it made the newest */
	enum store_record_change change;
	uint64_t number;
	uint64_t seen_ms; /* 0: unchanged */
	bool dedup;	  /* `reply` is a confirmable message to be remembered with `code` */
	bool secure;	  /* caused by a record with `record_number` of the device's session ... */
	bool new_session; /* ... which is the device's with this write */
	uint64_t record_number;
	uint8_t code;
	uint32_t dedup_hash;
	struct coap_reply_to reply;
	bool has_block1; /* the request ended with a block: its option is repeated in the answer */
	struct coap_block block1;
	struct operation *operation; /* told at the end; NULL: nobody */
	void *ctx;		     /* of `settle` */
};

/* Why an operation runs. */
enum purpose {
	PURPOSE_NORTHBOUND,   /* somebody asked */
	PURPOSE_REISSUE,      /* an observation that the backend wants, after a Register */
	PURPOSE_NOTIFICATION, /* the rest of a notification that began with a first block */
	PURPOSE_QUEUED,	      /* a request from the queue */
};

/* What is sent, and kept while blocks of it may be wanted again. */
struct outgoing {
	uint16_t format;
	struct coap_upload body; /* all zeroes: none */
	struct blob *query;
};

/* What comes back in blocks. */
struct arriving {
	struct buffer body;
	uint8_t szx;
	bool blocks;
	uint8_t etag_len;
	uint8_t etag[8];
};

struct operation {
	struct list node; /* in device->operations */
	uint64_t ticket;
	struct device *device;
	lwm2m_done *done; /* NULL: nobody asked */
	void *ctx;
	struct lwm2m_origin origin; /* of one that came with its device */
	struct timer timeout;
	uint64_t left_ms;	 /* of `timeout`, plus 1, while the device is moving; 0: it is not set */
	bool left_behind;	 /* the luggage had no room for it */
	struct addition *adding; /* it is being queued: the store tells how it ends */
	struct blob
		*spare;	   /* the request as it is queued if the device turns out to sleep; NULL: it is not */
	uint64_t spare_ms; /* of the time it has, kept for a second try without Accept */
	struct coap_exchange *exchange;
	struct effect *effect; /* the write it waits for */
	enum lwm2m_operation kind;
	enum purpose purpose;
	struct path path;
	struct blob *paths; /* composites: encoded */
	uint16_t path_format;
	struct coap_token token; /* Observe and its ends: of the observation */
	uint16_t accept;
	bool accept_chosen;    /* by us: may be dropped if the device refuses it */
	bool bare;	       /* goes without the Accept that we had chosen */
	bool write_chosen;     /* by us: another may be tried */
	bool single;	       /* writes one value of one resource */
	uint8_t write_refused; /* formats that it did not take */
	bool observed;	       /* the first response had an Observe option ... */
	uint32_t sequence;     /* ... with this value */
	bool ack_due; /* its answer was confirmable: acknowledged when the operation ends, unless it was not
			 stored */
	uint16_t ack_mid;
	struct address ack_to;
	struct outgoing out;
	struct arriving in;
	struct coap_reply_to reply; /* NOTIFICATION: the message that began it */
	uint32_t dedup_hash;
	uint8_t code; /* the answer, kept while its effect is written */
	uint16_t format;
	struct blob *payload;
};

/* What concerns the queues of all devices. */
struct queues {
	struct list awake; /* devices in queue mode, in the order in which they were heard */
	struct timer sleep_timer;
	struct list looks, turns; /* queues that are to be looked at, or may send next */
	struct timer turn_timer;
	unsigned looking;
	uint64_t credit, credit_ms; /* thousandths of a request that may be sent; as of then */
	uint32_t sweep;		    /* place up to which all devices were looked at after the start */
	struct timer sweep_timer;
};

/* What backends declared, and the pace at which Observes follow from it. */
struct policies {
	struct list all;
	size_t count;
	bool known;    /* all that are stored were set */
	uint32_t walk; /* place up to which all devices have them */
	struct timer walk_timer;
	struct list turns;
	bool open; /* it is the turn of whoever asks now */
	uint64_t credit, credit_ms;
	struct timer pace_timer;
};

struct lwm2m_server {
	struct lwm2m_config config;
	struct lwm2m_host host;
	const struct registry *registry;
	struct timers *timers;
	struct random *random;
	struct log *log;
	struct coap_layer coap;
	struct coap_assemblies assemblies;
	struct map devices; /* by hash of (role, endpoint): endpoint, registration id and token lead there */
	struct map addresses; /* by address */
	struct map tickets;
	/* All devices, each at a place which it keeps, so that a walk over them survives changes. A free
	   place holds the index of the next free one, doubled, plus one. */
	uintptr_t *slots;
	uint32_t slot_count;
	uint32_t slot_free; /* first free place; slot_count: none */
	struct pool effects;
	struct pool operations;
	struct arena arena;
	struct buffer event_body; /* of the write that is being submitted */
	uint64_t next_ticket;
	size_t registered;
	struct queues queues;
	struct policies policies;
	struct list giving;  /* devices that are being given away */
	struct map remotes;  /* operations that left with their devices, by ticket */
	size_t guards_asked; /* plain Registers that wait for an answer */
	struct lwm2m_stats stats;
};

enum {
	ANSWER_EMPTY_ACK =
		0xE0, /* in dedup memory: the answer was an empty ACK (7.00 is no code of CoAP over UDP) */
	AWAY_RETENTION_MS = 7 * 24 * 3600 * 1000,
};

static inline uint64_t server_now(const struct lwm2m_server *s)
{
	return s->host.mono_ms(s->host.ctx);
}
static inline uint64_t server_wall(const struct lwm2m_server *s)
{
	return s->host.wall_ms(s->host.ctx);
}

/* ---- device.c ---- */

uint32_t device_hash(const struct lwm2m_server *s, struct span endpoint);
/* Any state. */
struct device *device_find(struct lwm2m_server *s, struct span endpoint);
struct device *device_find_id(struct lwm2m_server *s, struct span id);
/* The bare device that remembers having answered this message under an id which is gone. */
struct device *device_find_departed(struct lwm2m_server *s, struct span id, const struct incoming *in);
struct device *device_find_token(struct lwm2m_server *s, const struct coap_token *token);
struct device *device_find_address(struct lwm2m_server *s, const struct address *address);
/* A bare device, NULL if there are too many or memory is out. */
struct device *device_new(struct lwm2m_server *s, struct span endpoint);
/* Frees the device at once. Nothing may be in flight. */
void device_free(struct device *d);
/* Frees a bare device that nothing needs any more. */
void device_free_if_done(struct device *d);
/* The next device in any state; *cursor 0 at first, NULL at the end. */
struct device *device_next(const struct lwm2m_server *s, uint32_t *cursor);
/* Puts it under `address`, where later datagrams find it. */
int device_locate(struct device *d, const struct address *address);
void device_unlocate(struct device *d);
/* Makes `record` (taken; NULL: none) the stored one, and keeps the counts of devices and observations. */
void device_set_record(struct device *d, struct blob *record);
/* The newest record, stored or not. False: there is none. */
bool device_latest(const struct device *d, struct registration *out);
bool device_is_registered(const struct device *d);
/* Until its lifetime (registered) or retention (away) ends; UINT64_MAX: never. */
uint64_t device_left_ms(const struct device *d);
/* Unix time at which somebody has to look at a device with this record; 0: never. */
uint64_t device_expires(const struct device *d, const struct blob *record, uint64_t seen_ms);
/* Makes sure that the timer fires in time for that, which it may do too early. */
void device_arm(struct device *d, uint64_t not_before_ms);
void device_new_id(struct device *d, char id[REGISTRATION_ID + 1]);
/* The hash that a registration id begins with. False: it is none of ours. */
bool device_id_hash(struct span id, uint32_t *hash);
bool token_is_observation(const struct coap_token *token);
/* A token of this device that nothing uses. */
struct coap_token device_new_token(struct device *d, bool observation);

/* ---- presence.c: who sleeps ---- */

/* A message of the device came: it is awake, and what waits for it may be sent. */
void device_heard(struct device *d);
/* It did not answer: it sleeps already. */
void device_falls_asleep(struct device *d);
/* Its record changed. */
void presence_note_record(struct device *d, const struct registration *r);
/* It was restored: it may be awake still. */
void presence_restore(struct device *d);
timer_fn presence_timer_fired;

/* ---- policies.c: what is observed of itself ---- */

/* The lists of composites that policies add to a list of observations. */
struct policy_memory {
	size_t len;
	uint8_t bytes[REGISTRATION_OBSERVATIONS_MAX * POLICY_PATHS_MAX * 9];
};

void policies_init(struct lwm2m_server *s);
void policies_deinit(struct lwm2m_server *s);
/* Takes out of the list of a device what no policy wants any more, adds what policies want; its new length.
 * `memory` has to live as long as the list. */
size_t policies_merge(const struct device *d, const struct registration *r, struct observation *list,
		      size_t count, struct policy_memory *memory);
/* The device is here now: it gets what policies want soon. */
void policies_take(struct device *d);
/* Whether an Observe that follows from no request may leave now. False: device_reissue is called when it may.
 */
bool policies_turn(struct device *d);
/* What is to be written before it is observed. */
struct span policies_attributes(const struct device *d, const struct observation *o);

/* ---- queue.c: requests that wait ---- */

void queues_init(struct lwm2m_server *s);
/* When all devices are gone. */
void queues_deinit(struct lwm2m_server *s);
/* Requests may have to wait in this server. */
bool queue_is_on(const struct lwm2m_server *s);
/* Whether a request of this kind has to wait behind others, or until the device wakes. */
bool queue_is_due(const struct device *d, const struct registration *reg, const struct lwm2m_request *r);
/* Nothing of the queue is under way in the store. */
bool queue_rests(const struct device *d);
/* What another node needs to go on with a request from the queue. False: it is none. */
bool queue_export(const struct operation *op, struct span *id, uint64_t *deadline_ms, struct span *body);
/* `op` is that request, and was sent already. */
int queue_import(struct operation *op, struct span id, uint64_t deadline_ms, struct span body);
/* Whether something waits, as far as it is known. */
bool queue_has_some(const struct device *d);
/* The request as it is stored; NULL: it is too long, or memory is out. */
struct blob *queue_encode(const struct lwm2m_server *s, const struct lwm2m_request *r);
/* Queues what the operation's `spare` says. 0: `op` is told by the store. > 0: an enum lwm2m_refusal. */
int queue_add(struct operation *op, char error[160]);
/* Nobody waits any more for what is being added. */
void queue_abandon(struct operation *op);
/* The device was heard: what waits for it is sent, one after the other. */
void queue_wake(struct device *d);
/* A write of the device reported this number. */
void queue_note_number(struct device *d, uint16_t number);
/* The device is restored: somebody looks at its queue soon. */
void queue_restore(struct device *d);
/* The device goes. */
void queue_detach(struct device *d);
/* A request came from the queue, and has run for as long as the device is taken to be awake: true if it goes
 * on. */
bool queue_goes_on(struct operation *op, uint64_t now_ms);

/* ---- write.c ---- */

struct device_change {
	enum store_record_change change;
	struct blob *record;		 /* PUT: taken */
	uint64_t seen_ms;		 /* 0: unchanged */
	const struct lwm2m_event *event; /* NULL: none */
	struct span event_record;
	bool patient; /* nobody waits for it */
};

/* NULL: too many are pending. */
struct effect *effect_new(struct device *d, effect_fn *settle);
/* The request in `in` is answered when the effect is stored; its retransmission is recognised from now on. */
void effect_answers(struct effect *e, const struct incoming *in, uint8_t code);
/* The number that the next write will have. */
static inline uint64_t device_next_number(const struct device *d)
{
	return d->hot.number + 1;
}
/* Writes; `e` is settled later, or at once with `stored` false. */
void device_write(struct device *d, const struct device_change *c, struct effect *e);
/* Encodes; NULL if memory is out or it would be too long. */
struct blob *blob_encode(const struct registration *r, const struct observation *observations, size_t count);
struct blob *blob_copy(struct span s);
/* NEW: go on. Else the message is answered here (or deliberately not). */
enum coap_seen device_seen(struct device *d, const struct incoming *in);
/* Up to REGISTRATION_OBSERVATIONS_MAX observations of a record. */
size_t observations_list(const struct registration *r, struct observation out[REGISTRATION_OBSERVATIONS_MAX]);

/* Sends the answer to the request of this effect; `m` needs code and options. */
void effect_reply(const struct effect *e, struct coap_message *m);
void effect_reply_code(const struct effect *e);

/* ---- register.c ---- */

void register_handle(struct lwm2m_server *s, const struct incoming *in);
/* Answers a request that is not taken; counts it. */
void reply_refusal(struct lwm2m_server *s, const struct incoming *in, uint8_t code, const char *diagnostic);
void update_handle(struct lwm2m_server *s, const struct incoming *in, struct span id);
void deregister_handle(struct lwm2m_server *s, const struct incoming *in, struct span id);
/* Ends the registration: the lifetime is over, or the API says so. */
void device_end_registration(struct device *d, enum deregistration_reason reason, bool keep_wanted,
			     struct effect *e);
timer_fn device_timer_fired;

/* ---- secure.c: whose messages and sessions are ---- */

enum { SESSION_SEALED_MAX = 512 };

/* Whether what this message asks for this device is for its sender to ask. */
bool incoming_is_of(const struct incoming *in, const struct device *d);
/* The endpoint that the sender's credential is for. False: unknown, or without security. */
bool incoming_claim(struct lwm2m_server *s, const struct incoming *in, struct span *endpoint);
/* True if a Register that does not come by a credential of its endpoint has to wait until it is known whether
 * there is one; it is then handled again, or refused. */
bool register_waits(struct lwm2m_server *s, const struct incoming *in, struct span endpoint);
/* Whether the message came by another session than the device's. */
bool incoming_is_new_session(const struct incoming *in, const struct device *d);
/* The device is reached at `peer` from now on: binds the association, and ends the one before. */
void device_reach(struct device *d, const struct address *peer);
/* Nobody is reached there any more: the association may be claimed again. */
void device_release(struct device *d);
/* Its association ended: nothing leads to it any more, and the record is to say so. */
void device_forget_session(struct device *d);
/* Where an association leads to now. False: it is gone. */
bool device_place(const struct device *d, const struct address *association, struct address *out);
/* True if nothing can be sent to it before it comes by itself. */
bool device_is_out_of_reach(const struct device *d);
/* The association is sealed into `out`, for `r->session`. */
void device_save_session(struct device *d, const struct address *peer, struct buffer *out);

/* ---- operation.c: from request to answer ---- */

struct operation *operation_new(struct device *d, enum lwm2m_operation kind, lwm2m_done *done, void *ctx);
/* Frees what an operation owns, not itself. */
void operation_release(struct operation *op);
/* Lets go of everything; nobody is told. */
void operation_free(struct operation *op);
void operation_finish(struct operation *op, const struct lwm2m_answer *answer);
void operation_end(struct operation *op, enum lwm2m_outcome outcome, const char *error);
/* The write it waited for is done: finishes with the answer that was kept. */
void operation_settled(struct operation *op, bool stored);
/* Ends all operations of the device. */
void operations_cancel(struct device *d, const char *why);
int operation_send(struct operation *op);
/* How what is sent is encoded; the token too. > 0: an enum lwm2m_refusal. */
int operation_prepare(struct operation *op, const struct lwm2m_request *r, char error[160]);
/* Whether it may be sent twice: its second effect is that of the first (architecture, rule 10). */
bool operation_is_repeatable(enum lwm2m_operation kind);
/* Sent, with so much time. > 0: an enum lwm2m_refusal. */
int operation_begin(struct operation *op, uint64_t timeout_ms, char error[160]);
/* A retransmission of the answer with this id is met with silence: its ACK will come. */
bool device_owes_ack(const struct device *d, uint16_t mid);
/* The body that asks for the paths of a composite. */
int operation_list_paths(struct operation *op, const struct observation *o);
timer_fn operation_expired;
coap_done operation_done;
bool operation_is_observe(const struct operation *op);
bool operation_is_cancel(const struct operation *op);
/* Observe again what is wanted and not confirmed, one after the other. */
void device_reissue(struct device *d);

/* ---- transfer.c: bodies in blocks (RFC 7959), seen from the one who asks ---- */

enum transfer {
	TRANSFER_WHOLE,	 /* `whole` is the complete response, borrows from `m` and `op` */
	TRANSFER_NEXT,	 /* something more is to be sent */
	TRANSFER_BROKEN, /* the blocks do not fit together, or there are too many */
};

/* Makes `body` what the operation sends, and takes what it owns. */
void transfer_body(struct operation *op, struct buffer *body);
/* Adds Block1 and the payload, or Block2 of what is wanted next. */
int transfer_fill(struct operation *op, struct coap_message *m);
enum transfer transfer_take(struct operation *op, const struct coap_message *m, struct coap_message *whole);
/* Whether a response says that more blocks follow it. */
bool transfer_begins(const struct coap_message *m);

/* ---- request.c ---- */

/* For what only waits for a write, of which `done` is told. */
struct effect *effect_for_caller(struct device *d, enum lwm2m_operation kind, lwm2m_done *done, void *ctx);

/* ---- choose.c ---- */

/* Nothing is known of what it understands. */
void choose_reset(struct device *d);
/* Accept of a read, COAP_FORMAT_NONE: none (D4). */
uint16_t choose_accept(const struct device *d, const struct registration *r);
/* Format of composites: of their paths, values and answers. */
uint16_t choose_composite(const struct registration *r);
/* Format of a write (D5). */
uint16_t choose_write(const struct device *d, const struct registration *r, const struct path *path,
		      const struct record *items, size_t count);
/* What to write in after these (bit per place in the table of formats) were refused; COAP_FORMAT_NONE:
 * nothing is left. */
uint16_t choose_next_write(const struct registration *r, uint8_t *refused, uint16_t format);
/* The device answered: what we chose, it understands. */
void choose_learn(struct operation *op, uint8_t code);

/* ---- attributes.c ---- */

/* Checks "pmin=10&gt=5.5&lt". NULL, or what is wrong with it (written to `error`). */
const char *attributes_check(struct span query, const struct path *path, char error[160]);
const char *arguments_check(struct span arguments);

/* ---- observe.c ---- */

/* A response that belongs to no exchange. */
void notification_handle(struct lwm2m_server *s, const struct incoming *in);
/* The rest of a notification is there (`m`), or will not come (NULL). */
void notification_completed(struct operation *op, const struct coap_message *m);
/* The device answered an Observe: stores the observation, then finishes `op`. */
void observe_answered(struct operation *op, const struct coap_message *m, bool observed);
/* Removes the observation of this target; `e->operation`, if any, is told when it is stored. */
void observe_forget(struct device *d, const struct observation *target, enum observation_end reason,
		    uint8_t code, struct effect *e);
/* Both are single and of the same path, or composites of the same list. */
bool observation_same_target(const struct observation *a, const struct observation *b);
/* What an operation observes. Borrows from it. */
struct observation operation_target(const struct operation *op);

/* ---- send.c ---- */

void send_handle(struct lwm2m_server *s, const struct incoming *in);

/* ---- server.c ---- */

/* /rd/<id>: its second segment. */
bool request_location(const struct coap_message *m, struct span *id);

/* ---- wanted.c: devices that are not here ---- */

/* Before CoAP sees it. True: the host has it, or it is dropped. */
bool datagram_is_elsewhere(struct lwm2m_server *s, const struct incoming *in);
/* The same for a request, or a response that nothing here waits for. */
bool incoming_is_elsewhere(struct lwm2m_server *s, const struct incoming *in);

/* ---- move.c: giving and taking ---- */

enum moving {
	MOVING_NOT,
	MOVING_DRAINS, /* it takes no datagram any more, and its time stands; what is being written is awaited
			*/
	MOVING_PACKED, /* it is in its luggage: nothing may change any more */
};

/* The device is another owner's. Whoever waits for it is told; it is freed by device_free_if_done. */
void device_forget(struct device *d);
/* Something that it waited for is over: if it drains, it may be done soon. */
void device_rested(struct device *d);
/* Ends what the server gives, without a word. */
void giving_deinit(struct lwm2m_server *s);

/* ---- luggage.c ---- */

/* Everything that lives in memory only. Operations without room are marked as left behind. */
void luggage_pack(struct device *d, struct buffer *out);
/* The session in it, made an association. False: there is none, or it cannot go on. */
bool luggage_session(struct device *d, struct span luggage, struct address *peer);
/* The rest, once the device is where it is. Its peer is frozen. */
void luggage_unpack(struct device *d, struct span luggage);

/* ---- remote.c: operations that are elsewhere ---- */

/* Its caller waits for another node from now on; `op` has none any more. */
void remote_add(struct operation *op);
/* An operation that began here is back. False: nobody waits for it any more. */
bool remote_return(struct operation *op, uint64_t ticket);
void remote_cancel(struct lwm2m_server *s, uint64_t ticket);
void remotes_deinit(struct lwm2m_server *s);

/* ---- index.c ---- */

struct index_changes {
	struct store_index_change items[2];
	uint8_t keys[2][LWM2M_CID_MAX];
	size_t count;
};
/* What a write of `change` changes about how the device is found; `before` is its newest record without it.
 */
void index_note(struct device *d, const struct device_change *change, const struct blob *before,
		struct index_changes *out);
