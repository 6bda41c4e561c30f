/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/settings.h"

/* [redis] events. auto: JSON if backends talk through Redis. */
enum { REDIS_EVENTS_AUTO, REDIS_EVENTS_COMPACT, REDIS_EVENTS_JSON };

/* The settings of shoald. Strings are owned by the struct (settings_deinit). */
struct daemon_settings {
	bool help, version, print_settings, new_admin_token;
	char *config;

	uint64_t nodes, node_id;
	char *cluster_key_file, *old_cluster_key_files;

	char *coap_listen;
	uint64_t ack_timeout_ms, ack_random_percent, max_retransmit, nstart, response_timeout_ms, max_waiting;

	char *dtls_listen, *dtls_key, *dtls_certificate, *dtls_trust, *dtls_x509_endpoint, *dtls_key_log_file;
	bool dtls_connection_ids, dtls_hide_identities, dtls_x509_any;
	uint64_t dtls_mtu, dtls_retransmit_ms, dtls_age_ms, dtls_idle_ms, dtls_resumption_ms, dtls_since_s;
	uint64_t dtls_unbound_max, dtls_handshakes_max, dtls_hellos_per_s, dtls_hellos_max_per_s;

	bool strict, shared_credentials;
	uint64_t default_lifetime_s, lifetime_grace_ms, awake_ms, devices_max, requests_max;

	uint64_t observe_rate;
	bool queue_enabled;
	uint64_t queue_ttl_ms, queue_ttl_max_ms, queue_keep_ms, queue_requests_max, queue_bytes_max,
		queue_attempts_max, queue_rate;

	char *models_directory;

	char *http_listen;
	bool http_insecure_allow_remote;
	unsigned http_require_token;
	char *http_certificate, *http_key, *http_admin_token_file;
	uint64_t http_connections_max, http_body_max;

	char *store_url, *store_user, *store_password_file, *store_ca_file;
	unsigned store_durability;
	uint64_t store_size_max, journal_age_max_ms, journal_size_max, journal_tail_max, store_pending_max;
	uint64_t commit_interval_ms;
	unsigned redis_events;
	bool redis_requests, redis_require_token, redis_leshan_channels;
	uint64_t redis_requests_max, redis_answers_max, redis_answers_ttl_ms, redis_tickets_ttl_ms,
		redis_claim_ms;
	char *cluster_listen, *cluster_advertise;
	uint64_t cluster_lease_ms, cluster_weight, cluster_lookups_per_s;

	unsigned log_level;
	bool log_timestamps;
};

extern const struct settings_schema daemon_schema;

/*
 * Reads all sources. 0: go on; > 0: done (help and the like were printed); < 0: wrong settings, said on
 * stderr.
 */
int daemon_settings_load(struct daemon_settings *s, int argc, char **argv);
