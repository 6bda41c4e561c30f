/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "http/json.h"
#include "lwm2m/registration.h"

/* A registration as the northbound interface shows it, and the link lists in it. */

/* What is not part of the stored registration. */
struct registration_view {
	struct span endpoint;
	const struct registration *registration;
	uint64_t seen_ms;   /* Unix time of the last Register or Update */
	bool awake;	    /* only told of devices in queue mode */
	const char *reason; /* of a deregistration, or NULL */
};
void registration_json(struct json *j, const struct registration_view *v);

/* [{"url":"/3","attributes":{"ver":"1.1"}}, ...]: up to where `links` is no link-format any more; false if
 * there is such a place. */
bool links_json(struct json *j, struct span links);

/* What an Update carried (`flags`: UPDATE_*), as member of an UPDATED event. */
void registration_update_json(struct json *j, const struct registration *r, unsigned flags);
