/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The load generator: many plain devices in one process, led by commands on standard input. Each is answered
 * by one line: "ok" and what was measured as NAME=VALUE, or "error" and why.
 *
 *   shoald PORT PID                              talk to this server from now on
 *   echo PORT PID                                ... or to this reference, as the same devices
 *   secure MODE                                  1: by DTLS with PSK, 2: with raw public keys, 0: plain CoAP
 *   rest PORT CONNECTIONS                        connect to the northbound interface
 *   register COUNT                               register devices until there are COUNT
 *   observe                                      have /3/0/9 of all of them observed
 *   offer OPERATION RATE SECONDS BURST           update, register, register-again, notify-con, notify-non,
 *                                                read, handshake
 *
 * What is measured, when and how often is the caller's (bench/run).
 */

#include "bench/offer.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/prctl.h>

enum { LINE = 256 };

struct command {
	const char *name;
	const char *arguments; /* s: an operation, n: a number */
	int (*run)(struct bench *b, const double *numbers, const struct operation *o, const char **why);
};

static int command_server(struct bench *b, const double *numbers, const struct operation *o, const char **why)
{
	(void)o;
	(void)why;
	air_aim(b->air, (uint16_t)numbers[0]);
	b->pid = (pid_t)numbers[1];
	b->echo = false;
	return 0;
}

static int command_echo(struct bench *b, const double *numbers, const struct operation *o, const char **why)
{
	int err = command_server(b, numbers, o, why);

	b->echo = true;
	return err;
}

static int command_rest(struct bench *b, const double *numbers, const struct operation *o, const char **why)
{
	(void)o;
	*why = "no connection to the northbound interface";
	b->rest = rest_free(b->rest);
	if (numbers[1] < 1 || numbers[1] > REST_CONNECTIONS_MAX)
		return -EINVAL;
	return rest_open((uint16_t)numbers[0], (unsigned)numbers[1], &b->rest);
}

static int command_secure(struct bench *b, const double *numbers, const struct operation *o, const char **why)
{
	(void)o;
	*why = "no such mode";
	return numbers[0] < 0 || numbers[0] > SECURE_RAW_KEY ? -EINVAL : secure_all(b, (unsigned)numbers[0]);
}

static int command_register(struct bench *b, const double *numbers, const struct operation *o,
			    const char **why)
{
	(void)o;
	*why = "too many devices";
	return numbers[0] > AIR_DEVICES_MAX ? -EINVAL : register_all(b, (uint32_t)numbers[0], why);
}

static int command_observe(struct bench *b, const double *numbers, const struct operation *o,
			   const char **why)
{
	(void)o;
	(void)numbers;
	return observe_all(b, why);
}

static void print_tally(const struct tally *t)
{
	printf("ok sent=%" PRIu64 " not_sent=%" PRIu64 " answered=%" PRIu64 " refused=%" PRIu64
	       " stray=%" PRIu64,
	       t->sent, t->not_sent, t->answered, t->refused, t->stray);
	printf(" server_cpu_ns=%" PRIu64 " own_cpu_ns=%" PRIu64 " wall_ns=%" PRIu64 " lag_ns=%" PRIu64,
	       t->server_cpu_ns, t->own_cpu_ns, t->wall_ns, t->lag_ns);
	printf(" p50_ns=%" PRIu64 " p90_ns=%" PRIu64 " p99_ns=%" PRIu64 " max_ns=%" PRIu64 "\n",
	       histogram_at(&t->latency, 0.5), histogram_at(&t->latency, 0.9),
	       histogram_at(&t->latency, 0.99), t->latency.max);
}

static int command_offer(struct bench *b, const double *numbers, const struct operation *o, const char **why)
{
	struct offer offer = {o, numbers[0], numbers[1], (unsigned)numbers[2]};
	struct tally t;
	int err;

	*why = "rate, seconds or burst make no sense";
	if (offer.rate < 1 || offer.rate > 1e7 || offer.seconds < 0.01 || offer.seconds > 3600 ||
	    offer.burst < 1)
		return -EINVAL;
	err = offer_run(b, &offer, &t, why);
	if (err == 0)
		print_tally(&t);
	return err;
}

static const struct command commands[] = {
	{"shoald", "nn", command_server}, {"echo", "nn", command_echo},
	{"rest", "nn", command_rest},	  {"register", "n", command_register},
	{"observe", "", command_observe}, {"offer", "snnn", command_offer},
	{"secure", "n", command_secure},
};

/* The words behind the command's name. */
static bool parse(const char *arguments, char **rest, double *numbers, const struct operation **o)
{
	for (; *arguments; arguments++) {
		char *word = strtok_r(NULL, " \n", rest), *end = word;

		if (!word)
			return false;
		if (*arguments == 's') {
			*o = operation_find(word);
			if (!*o)
				return false;
			continue;
		}
		*numbers++ = strtod(word, &end);
		if (*end)
			return false;
	}
	return !strtok_r(NULL, " \n", rest);
}

static void obey(struct bench *b, char *line)
{
	const struct operation *o = NULL;
	const char *why = "no such command, or not with these arguments";
	char *rest, *name = strtok_r(line, " \n", &rest);
	double numbers[4] = {0};
	int err = -EINVAL;

	for (size_t i = 0; name && i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0 && parse(commands[i].arguments, &rest, numbers, &o))
			err = commands[i].run(b, numbers, o, &why);
	if (err < 0)
		printf("error %s: %s\n", why, strerror(-err));
	else if (!o)
		printf("ok\n");
}

int main(void)
{
	struct bench b = {0};
	char line[LINE];
	int err = fleet_init(&b.fleet);

	/* To the microsecond; the default lets the kernel be 50 late, which is a batch. */
	(void)prctl(PR_SET_TIMERSLACK, 1000);
	if (err == 0)
		err = air_open(&b.air);
	if (err < 0) {
		fprintf(stderr, "bench-load: %s\n", strerror(-err));
		return 1;
	}
	printf("ok port=%u\n", air_port(b.air));
	while (fflush(stdout) == 0 && fgets(line, sizeof(line), stdin))
		obey(&b, line);
	b.rest = rest_free(b.rest);
	b.secure = secure_free(b.secure);
	air_free(b.air);
	fleet_deinit(&b.fleet);
	return 0;
}
