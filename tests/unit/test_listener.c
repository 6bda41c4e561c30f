/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* A listener between two sockets on loopback: nothing is lost on the way into the paced mode and out of it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/listener.h"

#include <errno.h>

enum { LISTENER = 5, MANY = 400 };

struct bench {
	uv_loop_t loop;
	struct listener listener;
	struct udp_socket *sender;
	struct address to;
	uv_timer_t clock;
	unsigned sent, wanted, received;
	bool paced; /* seen at least once */
};

static void received(void *ctx, const struct datagram *d)
{
	struct bench *b = ctx;

	assert_int_equal(d->peer.listener, LISTENER);
	assert_int_equal(d->len, 4);
	b->received++;
}

static void send_one(struct bench *b)
{
	udp_send(b->sender, &b->to, span_str("ping"));
	udp_flush(b->sender);
	b->sent++;
}

/* Every millisecond, as long as there is something to send. */
static void on_clock(uv_timer_t *timer)
{
	struct bench *b = timer->data;

	b->paced |= uv_is_active((uv_handle_t *)&b->listener.pace);
	if (b->sent < b->wanted)
		send_one(b);
}

static void run_until(struct bench *b, unsigned count)
{
	uint64_t end = uv_hrtime() + UINT64_C(20000000000);

	b->wanted = count;
	while (b->received < count && uv_hrtime() < end)
		uv_run(&b->loop, UV_RUN_ONCE);
	assert_int_equal(b->received, count);
}

static void setup(struct bench *b)
{
	struct address any;

	*b = (struct bench){0};
	assert_int_equal(address_parse("127.0.0.1:0", &any), 0);
	assert_int_equal(uv_loop_init(&b->loop), 0);
	assert_int_equal(listener_open(&b->listener, &b->loop, &any, LISTENER, received, b), 0);
	assert_int_equal(listener_start(&b->listener), 0);
	assert_int_equal(udp_open(&any, 0, &b->sender), 0);
	b->to = udp_local(b->listener.socket);
	uv_timer_init(&b->loop, &b->clock);
	b->clock.data = b;
	uv_timer_start(&b->clock, on_clock, 1, 1);
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
	(void)ctx;
	uv_close(handle, NULL);
}

static void teardown(struct bench *b)
{
	listener_stop(&b->listener);
	uv_walk(&b->loop, close_handle, NULL);
	uv_run(&b->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&b->loop), 0);
	listener_free(&b->listener);
	udp_free(b->sender);
}

static void a_stream_is_paced_and_a_quiet_line_is_not(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	run_until(&b, 1);
	assert_false(b.paced);
	run_until(&b, MANY);
	assert_true(b.paced);
	/* Ticks that find nothing end it ... */
	while (uv_is_active((uv_handle_t *)&b.listener.pace))
		uv_run(&b.loop, UV_RUN_ONCE);
	/* ... and the next datagram wakes the loop. */
	b.sent = b.received = 0;
	run_until(&b, 1);
	teardown(&b);
}

static void what_comes_after_the_stop_is_not_handed_out(void **state)
{
	struct bench b;

	(void)state;
	setup(&b);
	run_until(&b, MANY);
	listener_stop(&b.listener);
	send_one(&b);
	for (unsigned i = 0; i < 20; i++)
		uv_run(&b.loop, UV_RUN_ONCE);
	assert_int_equal(b.received, MANY);
	teardown(&b);
}

static void a_port_in_use_is_an_error_and_leaves_nothing_open(void **state)
{
	struct bench b;
	struct listener second;

	(void)state;
	setup(&b);
	assert_int_equal(listener_open(&second, &b.loop, &b.to, 1, received, &b), -EADDRINUSE);
	teardown(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_stream_is_paced_and_a_quiet_line_is_not),
		cmocka_unit_test(what_comes_after_the_stop_is_not_handed_out),
		cmocka_unit_test(a_port_in_use_is_an_error_and_leaves_nothing_open),
	};

	return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
