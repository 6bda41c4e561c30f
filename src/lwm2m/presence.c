/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * Who sleeps (lwm2m.md, Q2). A device in queue mode is awake for a time after each of its messages, and
 * asleep after it, or at once when it does not answer. Nobody says so: there is no "go to sleep" message.
 *
 * The hard idea: the time is the same for all, so those who are awake stand in one list in the order in which
 * they were heard, and one timer looks at its head. A message costs a move to the tail.
 *
 * Each change is an event in the log, once. It is not part of the device's record: after a restart it is told
 * by time alone who is awake, so that around a restart a change may go untold.
 */

#include "lwm2m/core.h"

static uint64_t awake_until_ms(const struct device *d)
{
	return (uint64_t)d->heard_s * 1000 + d->server->config.awake_ms;
}

bool device_is_awake(const struct lwm2m_server *s, const struct device *d)
{
	return !d->sleeps || server_wall(s) < awake_until_ms(d);
}

static void told(struct effect *e, bool stored)
{
	(void)e;
	(void)stored;
}

static void tell(struct device *d, enum lwm2m_event_type type)
{
	struct lwm2m_event event = {.type = type};
	struct device_change change = {.change = STORE_RECORD_KEEP, .event = &event};
	struct effect *e = effect_new(d, told);

	if (!e)
		return;
	d->held++; /* by whoever calls */
	device_write(d, &change, e);
	d->held--;
}

static void arm(struct lwm2m_server *s, const struct device *first)
{
	uint64_t wall_ms = server_wall(s), until_ms = awake_until_ms(first);

	timer_set(s->timers, &s->queues.sleep_timer,
		  server_now(s) + (until_ms > wall_ms ? until_ms - wall_ms : 0), presence_timer_fired);
}

static void fall_asleep(struct device *d)
{
	list_remove(&d->awake);
	tell(d, EVENT_SLEEPING);
}

/* A device that was restored may stand in front of one whose time ends first: that one waits for it. */
void presence_timer_fired(struct timer *t, uint64_t now_ms)
{
	struct lwm2m_server *s = container_of(t, struct lwm2m_server, queues.sleep_timer);
	struct list *awake = &s->queues.awake;

	(void)now_ms;
	while (!list_empty(awake)) {
		struct device *d = container_of(awake->next, struct device, awake);

		if (device_is_awake(s, d)) {
			arm(s, d);
			return;
		}
		fall_asleep(d);
	}
}

static void stand_at_end(struct device *d)
{
	struct lwm2m_server *s = d->server;

	list_remove(&d->awake);
	list_append(&s->queues.awake, &d->awake);
	if (!timer_is_set(&s->queues.sleep_timer))
		arm(s, d);
}

void device_heard(struct device *d)
{
	d->heard_s = (uint32_t)(server_wall(d->server) / 1000);
	if (d->sleeps && device_is_registered(d)) {
		bool woke = !list_linked(&d->awake);

		stand_at_end(d);
		if (woke)
			tell(d, EVENT_AWAKE);
	}
	queue_wake(d);
}

void device_falls_asleep(struct device *d)
{
	if (!list_linked(&d->awake))
		return;
	d->heard_s = 0;
	fall_asleep(d);
}

void presence_note_record(struct device *d, const struct registration *r)
{
	bool slept = d->sleeps, made_now = d->hot.fence.gen == 1 && d->number_stored <= 1;

	d->sleeps = r->queue_mode;
	if (!d->sleeps || !r->present)
		list_remove(&d->awake);
	/* Of a device that never was there before nothing can wait. */
	if (d->sleeps && !slept && !made_now)
		d->queue_unknown = queue_is_on(d->server);
}

void presence_restore(struct device *d)
{
	if (d->sleeps && device_is_registered(d) && device_is_awake(d->server, d))
		stand_at_end(d);
}
