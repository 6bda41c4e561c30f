/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "sim/device.h"
#include "sim/socket.h"

#include <uv.h>

/* All devices, on one event loop. */
struct fleet {
	struct sim sim;
	const struct sim_options *options; /* borrowed */
	struct device *devices;
	uint32_t device_count; /* initialised ones */
	struct sockets sockets;
	struct random dice;		 /* of lost datagrams */
	struct credentials *credentials; /* NULL: plain CoAP */
	uint64_t lost_out, lost_in;
	uint64_t rebinds;
	uint64_t rebinds_due; /* changes of ports whose time has come */
	bool share;	      /* sockets */
	uint64_t ended_ms;    /* 0 while it runs */
	uint32_t unwell;      /* devices that were not registered when the end began */
	uint32_t left;	      /* devices whose De-register was not acknowledged in time */
	bool interactive;     /* progress goes to a terminal */
	uv_loop_t loop;
	uv_poll_t poll;
	uv_prepare_t prepare;
	uv_timer_t wake, progress, duration, patience, rebind;
	uv_signal_t terminate, interrupt;
	unsigned signals;
};

enum fleet_end {
	FLEET_WELL = 0,
	FLEET_UNWELL =
		1, /* some device was not registered at the end, or not de-registered, or the ledger failed */
};

/*
 * Runs the simulation to its end. Counts are in *f afterwards, which the caller deinits. Returns an enum
 * fleet_end, or < 0 if it could not begin; the reason was printed on stderr.
 */
int fleet_run(struct fleet *f, const struct sim_options *options) NODISCARD;
void fleet_deinit(struct fleet *f);
