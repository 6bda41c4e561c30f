/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/list.h"
#include "base/random.h"
#include "base/timer.h"
#include "dtls/handshake.h"

/*
 * The DTLS server of a node: cookies, handshakes under way, and all associations (RFC 6347: what a client and
 * we share after a handshake). Datagrams, time and the answers to its questions go in; datagrams, plaintext
 * and questions come out through `struct dtls_host`. No sockets, no loop, no store.
 *
 * An association is named by an address of its own (`address_of_association`), which never changes, wherever
 * its device is: to CoAP and LwM2M it is a peer like others. It is unbound until somebody says whose it is:
 * unbound ones are few and short-lived.
 */

struct dtls_endpoint;

/* Why an association ended. */
enum dtls_end {
	DTLS_END_PEER,	  /* close_notify or a fatal alert */
	DTLS_END_IDLE,	  /* nothing authentic for idle_ms, or unbound for unbound_ms */
	DTLS_END_AGE,	  /* older than age_ms */
	DTLS_END_LIMIT,	  /* too many records failed, or no numbers are left (RFC 9325, 4.4) */
	DTLS_END_CROWDED, /* the oldest unbound one made room */
	DTLS_END_DROPPED, /* dtls_endpoint_drop */
	DTLS_END_COUNT,
};

/* What an unbound association may become. Borrowed for the call. */
struct dtls_claim {
	enum dtls_identity kind;
	struct span identity; /* PSK identity, or DER */
	struct span endpoint; /* whose it is, by the credential */
};

/* A handshake that failed, for whoever asks why. Borrowed for the call. */
struct dtls_refusal {
	struct address peer;
	enum dtls_identity kind;
	struct span identity; /* as far as it was said */
	const struct dtls_failure *failure;
};

/* Work for another thread: dtls_job_run there, then dtls_job_done on the endpoint's. Or dtls_job_drop, which
 * ends the handshake. */
struct dtls_job;

struct dtls_host {
	void *ctx;
	/* Must not call back into the endpoint. */
	void (*send)(void *ctx, const struct address *to, struct span datagram);
	/* Application data of a record with this number. */
	void (*input)(void *ctx, const struct address *association, uint64_t number, struct span plaintext);
	/* A handshake is complete; the claim says by whom. */
	void (*established)(void *ctx, const struct address *association, const struct dtls_claim *claim);
	/* It is gone already. Not called for what dtls_endpoint_drop ended. `bound`: it was somebody's. */
	void (*closed)(void *ctx, const struct address *association, enum dtls_end why, bool bound);
	/* Questions; answered, once, by the call of the same ticket, which may come at once or never (the
	 * handshake then times out). */
	void (*find_psk)(void *ctx, uint64_t ticket, struct span identity);
	void (*find_peer)(void *ctx, uint64_t ticket, const struct span *chain, size_t count, bool raw_key);
	void (*find_ticket)(void *ctx, uint64_t ticket, struct span session_id);
	/* What resumes a session: to be kept, sealed, for as long as a session may live. */
	void (*keep_ticket)(void *ctx, struct span session_id, struct span resumption);
	void (*run)(void *ctx, struct dtls_job *job);
	void (*refused)(void *ctx, const struct dtls_refusal *refusal);
	uint64_t (*wall_ms)(void *ctx);
	/*
	 * A protected record of no session that is here, or of one that is held. `cid`: the connection id
	 * that it came under, empty if only its address names it. True: the whole datagram is the host's now,
	 * which may copy it, look elsewhere, and give it to dtls_endpoint_input_asked later, not from within.
	 * NULL: nobody knows more.
	 */
	bool (*unknown)(void *ctx, const struct address *from, struct span cid, struct span datagram);
	/* A bound association has few numbers left in its term (dtls_session_is_low): it should be exported,
	 * that be stored, and dtls_endpoint_renew be called. Told again, until then. NULL: it ends with them.
	 */
	void (*spent)(void *ctx, const struct address *association);
};

struct dtls_endpoint_config {
	size_t associations_max;
	size_t unbound_max;	   /* associations that are nobody's yet; the oldest makes room */
	uint64_t unbound_ms;	   /* how long one may be that */
	size_t handshakes_max;	   /* at a time; more hellos are left to be repeated */
	uint64_t age_ms;	   /* of an association, then a new handshake is needed; 0: no limit */
	uint64_t idle_ms;	   /* without an authentic record; 0: no limit */
	uint64_t since_ms;	   /* Unix time: sessions made before it are not imported */
	uint32_t hellos_per_s;	   /* verified hellos per source network (/24, /56), twice that at once; 0: no
				      limit */
	uint32_t hellos_max_per_s; /* hellos that are looked at at all, so that a flood of them leaves time
				      for those who have a session; 0: no limit */
	bool connection_ids;
	struct siphash_key hash_key;
};
void dtls_endpoint_config_init(struct dtls_endpoint_config *c);

/* `context`, `timers`, `random` and what `host` points to are borrowed until dtls_endpoint_free. NULL:
 * -ENOMEM. */
struct dtls_endpoint *dtls_endpoint_new(const struct dtls_endpoint_config *config,
					const struct dtls_host *host, const struct dtls_context *context,
					struct timers *timers, struct random *random) NODISCARD;
/* Says nothing to anybody. No job may be running. */
struct dtls_endpoint *dtls_endpoint_free(struct dtls_endpoint *e);
/* To be called before the first datagram, and when a period ends. */
void dtls_endpoint_set_cookie_keys(struct dtls_endpoint *e, const struct dtls_cookie_keys *keys);

/* One datagram, at `now_ms` of the clock of `timers`. */
void dtls_endpoint_input(struct dtls_endpoint *e, const struct address *from, struct span datagram,
			 uint64_t now_ms);
/* The same for one that `unknown` was asked about: it is not asked again. */
void dtls_endpoint_input_asked(struct dtls_endpoint *e, const struct address *from, struct span datagram,
			       uint64_t now_ms);
/* Answers to host's questions. Unknown tickets are ignored. */
void dtls_endpoint_psk(struct dtls_endpoint *e, uint64_t ticket, struct span key, struct span endpoint,
		       uint64_t now_ms); /* key empty: the identity is unknown */
void dtls_endpoint_peer(struct dtls_endpoint *e, uint64_t ticket, bool accepted, bool pinned,
			struct span endpoint, uint64_t now_ms);
void dtls_endpoint_ticket(struct dtls_endpoint *e, uint64_t ticket, struct span resumption, uint64_t now_ms);
/* It cannot be known now. The question is asked again when the peer repeats itself; a peer that need not,
 * since it resumed a session and takes the handshake for complete, is turned away by internal_error. */
void dtls_endpoint_unanswered(struct dtls_endpoint *e, uint64_t ticket);
void dtls_job_run(struct dtls_job *job);
void dtls_job_done(struct dtls_job *job, uint64_t now_ms);
void dtls_job_drop(struct dtls_job *job);

/* ---- associations, by their addresses ---- */

/* Protects and sends. False: there is no such association, or its numbers are spent (it is closed then). */
bool dtls_endpoint_send(struct dtls_endpoint *e, const struct address *association, struct span plaintext);
/* Where its peer is, or NULL. Valid until the next call. */
const struct address *dtls_endpoint_peer_address(const struct dtls_endpoint *e,
						 const struct address *association);
/* Unix time in ms of its handshake, which tells it from the others of its device, also after a restart; 0:
 * there is no such association. */
uint64_t dtls_endpoint_created_ms(const struct dtls_endpoint *e, const struct address *association);
/* Its claim: false if there is no such association, or it is bound. */
bool dtls_endpoint_claim(const struct dtls_endpoint *e, const struct address *association,
			 struct dtls_claim *claim);
/* It is somebody's now: no longer counted, timed and evicted as unbound. Forgets the claim. */
void dtls_endpoint_bind(struct dtls_endpoint *e, const struct address *association);
/* It is nobody's any more, but `endpoint` may claim it again. */
void dtls_endpoint_unbind(struct dtls_endpoint *e, const struct address *association, struct span endpoint);
/* Ends it; with `say`, close_notify tells the peer. Harmless if it is gone. */
void dtls_endpoint_drop(struct dtls_endpoint *e, const struct address *association, bool say);
/* Drops all that are unbound with a claim to `endpoint`, and the handshakes that would become such. */
void dtls_endpoint_revoke(struct dtls_endpoint *e, struct span endpoint);

/*
 * As bytes for the store, to be sealed: the copy goes on in the terms of the generations above `generation`,
 * the owner's present one. -ENOENT: there is no such association.
 */
int dtls_endpoint_export(struct dtls_endpoint *e, const struct address *association, uint32_t generation,
			 struct writer *w) NODISCARD;
/* What was exported when its numbers were low is stored, by a write that only the owner of this generation
 * could make: it goes on in its next term. Nothing happens if it is gone, held, or has numbers. */
void dtls_endpoint_renew(struct dtls_endpoint *e, const struct address *association);
/*
 * A session from the store, bound, of a device whose generation is now `generation`. What it received up to
 * `mark` is old. -EBADMSG, -EPROTO, -EOVERFLOW (no terms are left), -ETIME (too old), -EEXIST (it is here,
 * or without a connection id and its address is another's by now), -ENOSPC, -ENOMEM.
 */
int dtls_endpoint_import(struct dtls_endpoint *e, struct span encoded, uint32_t generation, uint64_t mark,
			 struct address *association) NODISCARD;

/* ---- between two endpoints ---- */

/* Held, it opens no record (`unknown` gets them), and nothing is said because of it. Harmless if it is gone.
 */
void dtls_endpoint_hold(struct dtls_endpoint *e, const struct address *association, bool held);
/*
 * As bytes for another endpoint, which goes on exactly here: counter, replay window, retained last flight.
 * From now on it is held and seals nothing any more, until it is dropped (it is there now), or held no longer
 * (it is not, and never will be with these bytes). Secrets in the clear, at most DTLS_CARRIED_MAX. -ENOENT.
 */
enum { DTLS_CARRIED_MAX = DTLS_SESSION_ENCODED_MAX + 64 };
int dtls_endpoint_give(struct dtls_endpoint *e, const struct address *association,
		       struct writer *w) NODISCARD;
/* Goes on with what another endpoint gave, bound. Errors of dtls_endpoint_import but -EOVERFLOW. */
int dtls_endpoint_take(struct dtls_endpoint *e, struct span carried, struct address *association) NODISCARD;
/*
 * Whether a datagram speaks for a session in the store, of a device whose generation is now `generation`: 0
 * if it authenticates, is new (dtls_session_proves), and the session could go on here in the next generation.
 * Nothing is installed. -EACCES: it does not; else as dtls_endpoint_import.
 */
int dtls_endpoint_proves(const struct dtls_endpoint *e, struct span encoded, uint32_t generation,
			 uint64_t mark, struct span datagram) NODISCARD;

/* Whether a record of this datagram authenticates in the association and is newer than all that it has seen.
 * Changes nothing. */
bool dtls_endpoint_is_news(const struct dtls_endpoint *e, const struct address *association,
			   struct span datagram);
/* The slots (0 to 4095) that new connection ids name: those of this node, so that a balancer routes by them.
 * Copied; none: any slot. -ENOMEM. */
int dtls_endpoint_set_slots(struct dtls_endpoint *e, const uint16_t *slots, size_t count) NODISCARD;

struct dtls_endpoint_stats {
	size_t associations, unbound, handshakes;
	uint64_t hellos, hellos_limited, verified, handshakes_done, handshakes_resumed, handshakes_failed;
	uint64_t records, records_malformed, records_unknown, records_replayed, records_forged,
		records_foreign;
	uint64_t moved, last_flights, ended[DTLS_END_COUNT];
};
void dtls_endpoint_stats(const struct dtls_endpoint *e, struct dtls_endpoint_stats *out);
