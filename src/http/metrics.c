/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * /metrics: Prometheus' text format (version 0.0.4), written from one table. A row names a figure by where it
 * lies in the statistics of one of the parts; so a new figure is a row, and HELP and TYPE cannot be
 * forgotten.
 */

#include "http/api.h"
#include "http/events.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { PAGE_MAX = 1024 * 1024 };

/* All figures at one moment. */
struct figures {
	struct lwm2m_stats lwm2m;
	struct store_stats store;
	struct http_transport_stats transport;
	struct events_stats events;
	uint64_t resident_bytes, uptime_s, healthy;
};

enum metric_type { COUNTER, GAUGE };

struct metric {
	const char *name, *help;
	enum metric_type type;
	size_t offset, width; /* into struct figures */
	unsigned divisor;     /* 0: none; 1000000 for microseconds */
};

#define FIGURE(member) offsetof(struct figures, member), sizeof(((struct figures *)0)->member)

static const struct metric metrics[] = {
	{"shoal_devices", "Registered devices.", GAUGE, FIGURE(lwm2m.devices), 0},
	{"shoal_observations", "Observations that are wanted.", GAUGE, FIGURE(lwm2m.observations), 0},
	{"shoal_registers_total", "Register operations accepted.", COUNTER, FIGURE(lwm2m.registers), 0},
	{"shoal_updates_total", "Update operations accepted.", COUNTER, FIGURE(lwm2m.updates), 0},
	{"shoal_deregisters_total", "De-register operations accepted.", COUNTER, FIGURE(lwm2m.deregisters),
	 0},
	{"shoal_expiries_total", "Registrations that expired.", COUNTER, FIGURE(lwm2m.expiries), 0},
	{"shoal_notifications_total", "Notifications taken.", COUNTER, FIGURE(lwm2m.notifications), 0},
	{"shoal_sends_total", "Send messages whose data is stored.", COUNTER, FIGURE(lwm2m.sends), 0},
	{"shoal_notifications_stale_total", "Notifications older than one taken before.", COUNTER,
	 FIGURE(lwm2m.notifications_stale), 0},
	{"shoal_duplicates_total", "Confirmable messages of devices that came again.", COUNTER,
	 FIGURE(lwm2m.duplicates), 0},
	{"shoal_unknown_tokens_total", "Notifications and answers with a token nobody knows.", COUNTER,
	 FIGURE(lwm2m.unknown_tokens), 0},
	{"shoal_refused_total", "Messages of devices that were refused.", COUNTER, FIGURE(lwm2m.refused), 0},
	{"shoal_not_stored_total", "Messages of devices not acknowledged because a write failed.", COUNTER,
	 FIGURE(lwm2m.not_stored), 0},
	{"shoal_restored_total", "Devices written anew to a store that had lost of them.", COUNTER,
	 FIGURE(lwm2m.restored), 0},
	{"shoal_requests_total", "Requests to devices.", COUNTER, FIGURE(lwm2m.requests), 0},
	{"shoal_request_timeouts_total", "Requests to devices without answer in time.", COUNTER,
	 FIGURE(lwm2m.request_timeouts), 0},
	{"shoal_requests_active", "Requests to devices under way.", GAUGE, FIGURE(lwm2m.requests_active), 0},
	{"shoal_queued_total", "Requests that were queued for devices in queue mode.", COUNTER,
	 FIGURE(lwm2m.queued), 0},
	{"shoal_queued_sent_total", "Requests sent from queues, also more than once.", COUNTER,
	 FIGURE(lwm2m.queued_sent), 0},
	{"shoal_queued_answered_total", "Queued requests that their device answered.", COUNTER,
	 FIGURE(lwm2m.queued_ended[QUEUED_ANSWERED]), 0},
	{"shoal_queued_expired_total", "Queued requests that waited for too long.", COUNTER,
	 FIGURE(lwm2m.queued_ended[QUEUED_EXPIRED]), 0},
	{"shoal_queued_cancelled_total", "Queued requests that were taken back.", COUNTER,
	 FIGURE(lwm2m.queued_ended[QUEUED_CANCELLED]), 0},
	{"shoal_queued_failed_total", "Queued requests that failed.", COUNTER,
	 FIGURE(lwm2m.queued_ended[QUEUED_FAILED]), 0},
	{"shoal_queued_unknown_total", "Queued requests of which nobody knows whether the device acted.",
	 COUNTER, FIGURE(lwm2m.queued_ended[QUEUED_UNKNOWN]), 0},

	{"shoal_coap_retransmissions_total", "Messages sent again for want of an ACK.", COUNTER,
	 FIGURE(lwm2m.coap.retransmissions), 0},
	{"shoal_coap_timeouts_total", "Exchanges that ended without an answer.", COUNTER,
	 FIGURE(lwm2m.coap.timeouts), 0},
	{"shoal_coap_resets_received_total", "RST messages received.", COUNTER,
	 FIGURE(lwm2m.coap.resets_received), 0},
	{"shoal_coap_resets_sent_total", "RST messages sent.", COUNTER, FIGURE(lwm2m.coap.resets_sent), 0},
	{"shoal_coap_malformed_total", "Datagrams that are no CoAP message.", COUNTER,
	 FIGURE(lwm2m.coap.malformed), 0},
	{"shoal_coap_unmatched_total", "Messages that belong to no exchange.", COUNTER,
	 FIGURE(lwm2m.coap.unmatched), 0},

	{"shoal_udp_received_total", "Datagrams received.", COUNTER, FIGURE(transport.udp.received), 0},
	{"shoal_udp_received_bytes_total", "Bytes received in datagrams.", COUNTER,
	 FIGURE(transport.udp.received_bytes), 0},
	{"shoal_udp_truncated_total", "Datagrams too long to be received.", COUNTER,
	 FIGURE(transport.udp.truncated), 0},
	{"shoal_udp_receive_errors_total", "Errors while receiving.", COUNTER,
	 FIGURE(transport.udp.receive_errors), 0},
	{"shoal_udp_sent_total", "Datagrams sent.", COUNTER, FIGURE(transport.udp.sent), 0},
	{"shoal_udp_sent_bytes_total", "Bytes sent in datagrams.", COUNTER, FIGURE(transport.udp.sent_bytes),
	 0},
	{"shoal_udp_send_dropped_total", "Datagrams the kernel had no room for.", COUNTER,
	 FIGURE(transport.udp.send_dropped), 0},

	{"shoal_dtls_associations", "DTLS sessions.", GAUGE, FIGURE(transport.dtls.associations), 0},
	{"shoal_dtls_associations_unbound", "DTLS sessions whose device has not registered.", GAUGE,
	 FIGURE(transport.dtls.unbound), 0},
	{"shoal_dtls_handshakes_active", "DTLS handshakes under way.", GAUGE,
	 FIGURE(transport.dtls.handshakes), 0},
	{"shoal_dtls_hellos_total", "ClientHellos received.", COUNTER, FIGURE(transport.dtls.hellos), 0},
	{"shoal_dtls_hellos_limited_total", "ClientHellos left alone for the limits of handshakes.", COUNTER,
	 FIGURE(transport.dtls.hellos_limited), 0},
	{"shoal_dtls_handshakes_total", "DTLS handshakes completed.", COUNTER,
	 FIGURE(transport.dtls.handshakes_done), 0},
	{"shoal_dtls_handshakes_resumed_total", "Of these, by resumption of a session.", COUNTER,
	 FIGURE(transport.dtls.handshakes_resumed), 0},
	{"shoal_dtls_handshakes_failed_total", "DTLS handshakes that failed.", COUNTER,
	 FIGURE(transport.dtls.handshakes_failed), 0},
	{"shoal_dtls_records_total", "Records of sessions that were authentic.", COUNTER,
	 FIGURE(transport.dtls.records), 0},
	{"shoal_dtls_records_malformed_total", "Datagrams with what is no DTLS record.", COUNTER,
	 FIGURE(transport.dtls.records_malformed), 0},
	{"shoal_dtls_records_unknown_total", "Records of no session or handshake.", COUNTER,
	 FIGURE(transport.dtls.records_unknown), 0},
	{"shoal_dtls_records_foreign_total", "Records of a form that their session does not use.", COUNTER,
	 FIGURE(transport.dtls.records_foreign), 0},
	{"shoal_dtls_records_replayed_total", "Records that were there before.", COUNTER,
	 FIGURE(transport.dtls.records_replayed), 0},
	{"shoal_dtls_records_forged_total", "Records that did not authenticate.", COUNTER,
	 FIGURE(transport.dtls.records_forged), 0},
	{"shoal_dtls_moves_total", "Changes of the address of a session.", COUNTER,
	 FIGURE(transport.dtls.moved), 0},
	{"shoal_dtls_last_flights_total", "Last flights of handshakes sent again.", COUNTER,
	 FIGURE(transport.dtls.last_flights), 0},
	{"shoal_dtls_ended_peer_total", "DTLS sessions ended by their device.", COUNTER,
	 FIGURE(transport.dtls.ended[DTLS_END_PEER]), 0},
	{"shoal_dtls_ended_idle_total", "DTLS sessions ended for want of records.", COUNTER,
	 FIGURE(transport.dtls.ended[DTLS_END_IDLE]), 0},
	{"shoal_dtls_ended_age_total", "DTLS sessions ended for their age.", COUNTER,
	 FIGURE(transport.dtls.ended[DTLS_END_AGE]), 0},
	{"shoal_dtls_ended_limit_total", "DTLS sessions ended for the limits of their keys.", COUNTER,
	 FIGURE(transport.dtls.ended[DTLS_END_LIMIT]), 0},
	{"shoal_dtls_ended_crowded_total", "DTLS sessions ended for others that were not registered yet.",
	 COUNTER, FIGURE(transport.dtls.ended[DTLS_END_CROWDED]), 0},
	{"shoal_dtls_ended_dropped_total", "DTLS sessions ended by this server.", COUNTER,
	 FIGURE(transport.dtls.ended[DTLS_END_DROPPED]), 0},

	{"shoal_store_healthy", "1, or 0 after a failed sync.", GAUGE, FIGURE(healthy), 0},
	{"shoal_store_commits_total", "Commits of the store.", COUNTER, FIGURE(store.commits), 0},
	{"shoal_store_writes_total", "Writes stored.", COUNTER, FIGURE(store.writes), 0},
	{"shoal_store_write_failures_total", "Writes that failed.", COUNTER, FIGURE(store.write_failures), 0},
	{"shoal_store_refused_total", "Writes refused because another owner is newer.", COUNTER,
	 FIGURE(store.refused), 0},
	{"shoal_store_pending_writes", "Writes that wait for a commit.", GAUGE, FIGURE(store.pending_writes),
	 0},
	{"shoal_store_pending_bytes", "Bytes that wait for a commit.", GAUGE, FIGURE(store.pending_bytes), 0},
	{"shoal_store_commit_seconds", "Duration of the last commit.", GAUGE, FIGURE(store.commit_us_last),
	 1000000},
	{"shoal_store_commit_seconds_max", "Duration of the longest commit.", GAUGE,
	 FIGURE(store.commit_us_max), 1000000},
	{"shoal_store_devices", "Devices in the store.", GAUGE, FIGURE(store.devices), 0},
	{"shoal_store_journal_first", "Sequence of the oldest record of the journal.", GAUGE,
	 FIGURE(store.journal_first), 0},
	{"shoal_store_journal_last", "Sequence of the newest record of the journal.", GAUGE,
	 FIGURE(store.journal_last), 0},
	{"shoal_store_journal_bytes", "Size of the journal.", GAUGE, FIGURE(store.journal_bytes), 0},
	{"shoal_store_tail", "Records of the journal that a start has to replay.", GAUGE, FIGURE(store.tail),
	 0},
	{"shoal_store_file_bytes", "Size of the store's file.", GAUGE, FIGURE(store.file_bytes), 0},
	{"shoal_store_file_bytes_max", "What the store's file may grow to.", GAUGE, FIGURE(store.size_max),
	 0},
	{"shoal_store_events_trimmed_total", "Events removed from the log for age or space.", COUNTER,
	 FIGURE(store.events_trimmed), 0},

	{"shoal_event_streams", "Open event streams.", GAUGE, FIGURE(events.streams), 0},
	{"shoal_event_streams_behind", "Event streams that catch up with the log.", GAUGE,
	 FIGURE(events.behind), 0},
	{"shoal_events_queued_total", "Events queued for event streams.", COUNTER, FIGURE(events.sent), 0},
	{"shoal_event_gaps_total", "Gaps told to event streams.", COUNTER, FIGURE(events.gaps), 0},
	{"shoal_event_streams_ended_slow_total", "Event streams ended because their client took nothing.",
	 COUNTER, FIGURE(events.ended_slow), 0},
	{"shoal_events_unreadable_total", "Events of the log that could not be rendered.", COUNTER,
	 FIGURE(events.unreadable), 0},

	{"shoal_uptime_seconds", "Seconds since the listener started.", GAUGE, FIGURE(uptime_s), 0},
	{"process_resident_memory_bytes", "Resident memory size in bytes.", GAUGE, FIGURE(resident_bytes), 0},
};

/* ---- counters of answers ---- */

static const unsigned statuses[] = {200, 204, 400, 401, 403, 404, 405, 413, 414, 500, 503, 504, 0};

size_t metrics_status_count(void)
{
	return ARRAY_SIZE(statuses);
}

static size_t status_index(unsigned status)
{
	size_t i = 0;

	while (statuses[i] != status && statuses[i] != 0)
		i++;
	return i;
}

void metrics_count(struct http *h, const struct route *route, unsigned status)
{
	size_t row = route ? (size_t)(route - http_routes) : http_route_count;

	h->counts[row * ARRAY_SIZE(statuses) + status_index(status)]++;
}

static void answers_of_route(struct buffer *page, const char *method, const char *pattern,
			     const uint64_t *counts)
{
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++) {
		char status[16] = "other";

		if (!counts[i])
			continue;
		if (statuses[i])
			snprintf(status, sizeof(status), "%u", statuses[i]);
		buffer_printf(page,
			      "shoal_http_requests_total{method=\"%s\",route=\"%s\",status=\"%s\"} %" PRIu64
			      "\n",
			      method, pattern, status, counts[i]);
	}
}

static const char *method_name(enum http_method method)
{
	switch (method) {
	case HTTP_GET:
		return "GET";
	case HTTP_PUT:
		return "PUT";
	case HTTP_POST:
		return "POST";
	case HTTP_DELETE:
		break;
	}
	return "DELETE";
}

static void answers(struct buffer *page, const struct http *h)
{
	buffer_str(page, "# HELP shoal_http_requests_total HTTP requests answered, by route and status.\n"
			 "# TYPE shoal_http_requests_total counter\n");
	for (size_t i = 0; i < http_route_count; i++)
		answers_of_route(page, method_name(http_routes[i].method), http_routes[i].pattern,
				 h->counts + i * ARRAY_SIZE(statuses));
	answers_of_route(page, "", "", h->counts + http_route_count * ARRAY_SIZE(statuses));
}

/* ---- the page ---- */

static uint64_t resident_bytes(void)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long pages = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void collect(const struct http *h, struct figures *out)
{
	const char *why;

	memset(out, 0, sizeof(*out));
	lwm2m_stats(h->server, &out->lwm2m);
	store_stats(h->store, &out->store);
	if (h->transport_stats)
		h->transport_stats(h->transport_ctx, &out->transport);
	events_stats(h->events, &out->events);
	out->resident_bytes = resident_bytes();
	out->uptime_s = (uv_now(h->loop) - h->started_ms) / 1000;
	out->healthy = store_healthy(h->store, &why);
}

static uint64_t figure(const struct figures *f, const struct metric *m)
{
	const uint8_t *at = (const uint8_t *)f + m->offset;
	uint64_t wide;
	uint32_t narrow;

	if (m->width == sizeof(wide)) {
		memcpy(&wide, at, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, at, sizeof(narrow));
	return narrow;
}

static void metric(struct buffer *page, const struct metric *m, const struct figures *f)
{
	uint64_t value = figure(f, m);

	buffer_printf(page, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name,
		      m->type == COUNTER ? "counter" : "gauge");
	if (m->divisor)
		buffer_printf(page, "%s %.6f\n", m->name, (double)value / m->divisor);
	else
		buffer_printf(page, "%s %" PRIu64 "\n", m->name, value);
}

void metrics_page(struct http_request *r)
{
	struct buffer page = buffer_of(PAGE_MAX);
	struct figures figures;

	collect(r->http, &figures);
	buffer_printf(
		&page,
		"# HELP shoal_info What runs here.\n# TYPE shoal_info gauge\nshoal_info{version=\"%s\"} 1\n",
		r->http->config.version);
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++)
		metric(&page, &metrics[i], &figures);
	answers(&page, r->http);
	request_reply(r, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &page);
}
