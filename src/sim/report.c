/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * What the simulation tells: a line now and then, and the sums at the end. One table of counts gives the text
 * and the JSON, so that they cannot differ.
 */

#include "sim/report.h"

#include "base/clock.h"

#include <inttypes.h>

typedef uint64_t count_of(const struct fleet *f);

#define STAT(function, member)                          \
	static uint64_t function(const struct fleet *f) \
	{                                               \
		return f->sim.stats.member;             \
	}
#define COAP(function, member)                          \
	static uint64_t function(const struct fleet *f) \
	{                                               \
		return f->sim.coap.stats.member;        \
	}
#define FLEET(function, expression)                     \
	static uint64_t function(const struct fleet *f) \
	{                                               \
		return f->expression;                   \
	}

STAT(registrations, registrations)
STAT(updates, updates)
STAT(deregistrations, deregistrations)
STAT(lost_registrations, lost_registrations)
STAT(notifications, notifications)
STAT(notifications_acked, notifications_acked)
STAT(notifications_reset, notifications_reset)
STAT(sends, sends)
STAT(values_sent, values_sent)
STAT(requests, requests)
STAT(duplicates, duplicates)
STAT(unheard, unheard)
STAT(handshakes, handshakes)
STAT(resumed, resumed)
STAT(sessions_ended, sessions_ended)
COAP(retransmissions, retransmissions)
COAP(timeouts, timeouts)
COAP(malformed, malformed)
FLEET(devices, device_count)
FLEET(unwell, unwell)
FLEET(left, left)
FLEET(sent, sockets.sent)
FLEET(received, sockets.received)
FLEET(dropped, sockets.dropped)
FLEET(lost, lost_in + f->lost_out)
FLEET(rebinds, rebinds)

static const struct {
	const char *name; /* of the JSON member */
	const char *label;
	count_of *count;
} counts[] = {
	{"devices", "devices", devices},
	{"notRegistered", "not registered at the end", unwell},
	{"notDeregistered", "not de-registered", left},
	{"registered", "registrations acknowledged", registrations},
	{"updated", "updates acknowledged", updates},
	{"deregistered", "de-registrations acknowledged", deregistrations},
	{"registrationsLost", "registrations lost and done again", lost_registrations},
	{"handshakes", "DTLS handshakes", handshakes},
	{"handshakesResumed", "of them by resumption", resumed},
	{"sessionsEnded", "DTLS sessions ended by the server", sessions_ended},
	{"portsChanged", "changes of source ports", rebinds},
	{"notificationsSent", "notifications sent", notifications},
	{"notificationsAcknowledged", "notifications acknowledged", notifications_acked},
	{"notificationsReset", "notifications reset", notifications_reset},
	{"sendsAcknowledged", "Sends acknowledged", sends},
	{"valuesSent", "values in them", values_sent},
	{"requestsAnswered", "requests answered", requests},
	{"requestsRepeated", "requests answered once more", duplicates},
	{"datagramsUnheard", "datagrams to sleeping or restarting devices", unheard},
	{"retransmissions", "retransmissions", retransmissions},
	{"timeouts", "exchanges without an answer", timeouts},
	{"malformed", "malformed datagrams", malformed},
	{"datagramsSent", "datagrams sent", sent},
	{"datagramsReceived", "datagrams received", received},
	{"datagramsLost", "datagrams lost on purpose", lost},
	{"datagramsDropped", "datagrams the kernel dropped", dropped},
};

/* Failed handshakes by cause. */
static void print_causes(const struct fleet *f, bool json, FILE *to)
{
	const char *separator = "";

	for (unsigned i = 0; i < ARRAY_SIZE(f->sim.stats.handshakes_failed); i++) {
		uint64_t count = f->sim.stats.handshakes_failed[i];

		if (count && json)
			fprintf(to, "%s\"%s\":%" PRIu64, separator, dtls_cause_name(i), count);
		else if (count)
			fprintf(to, "%12" PRIu64 "  handshakes failed: %s\n", count, dtls_cause_name(i));
		if (count)
			separator = ",";
	}
}

static double seconds_of(const struct fleet *f)
{
	uint64_t end_ms = f->ended_ms ? f->ended_ms : clock_mono_ms();

	return (double)(end_ms - f->sim.begun_ms) / 1000;
}

void report_progress(const struct fleet *f, FILE *to)
{
	const struct sim_stats *s = &f->sim.stats;

	fprintf(to,
		"%s%.0fs: %u of %u registered, %" PRIu64 " updates, %" PRIu64 " notifications (%" PRIu64
		" acknowledged), %" PRIu64 " requests, %" PRIu64 " retransmissions, %" PRIu64 " timeouts%s",
		f->interactive ? "\r" : "", seconds_of(f), f->sim.states[DEVICE_REGISTERED], f->device_count,
		s->updates, s->notifications, s->notifications_acked, s->requests,
		f->sim.coap.stats.retransmissions, f->sim.coap.stats.timeouts,
		f->interactive ? "\033[K" : "\n");
	fflush(to);
}

static void print_codes(const uint64_t codes[256], const char *before, bool json, FILE *to)
{
	const char *separator = "";
	char text[8];

	for (unsigned code = 0; code < 256; code++) {
		if (!codes[code])
			continue;
		coap_code_text((uint8_t)code, text);
		if (json)
			fprintf(to, "%s\"%s\":%" PRIu64, separator, text, codes[code]);
		else
			fprintf(to, "%12" PRIu64 "  %s: %s %s\n", codes[code], before, text,
				coap_code_name((uint8_t)code));
		separator = ",";
	}
}

static void print_json(const struct fleet *f, FILE *to)
{
	fprintf(to, "{\"seconds\":%.3f,\"seed\":%" PRIu64, seconds_of(f), f->options->seed);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		fprintf(to, ",\"%s\":%" PRIu64, counts[i].name, counts[i].count(f));
	fputs(",\"handshakesFailed\":{", to);
	print_causes(f, true, to);
	fputs("},\"errorsFromServer\":{", to);
	print_codes(f->sim.stats.refused_by_server, "", true, to);
	fputs("},\"errorsToServer\":{", to);
	print_codes(f->sim.stats.refused_by_device, "", true, to);
	fputs("}}\n", to);
}

/* Without the counts that are zero, except for those everybody looks for. */
static void print_text(const struct fleet *f, FILE *to)
{
	enum { ALWAYS = 6 };

	fprintf(to, "%12.1f  seconds, seed %" PRIu64 "\n", seconds_of(f), f->options->seed);
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		uint64_t count = counts[i].count(f);

		if (count || i < ALWAYS)
			fprintf(to, "%12" PRIu64 "  %s\n", count, counts[i].label);
	}
	print_causes(f, false, to);
	print_codes(f->sim.stats.refused_by_server, "errors from the server", false, to);
	print_codes(f->sim.stats.refused_by_device, "errors to the server", false, to);
}

void report_summary(const struct fleet *f, bool json, FILE *to)
{
	if (json)
		print_json(f, to);
	else
		print_text(f, to);
}
