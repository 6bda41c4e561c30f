/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "model/registry.h"

/*
 * The objects of one simulated device: 1 (Server), 3 (Device), 3303 (Temperature). Types, operations and
 * multiplicity come from the model; here are the values. Without protocol, but results are CoAP codes, since
 * whatever goes wrong goes to the server as an answer.
 */

enum { OBJECT_SERVER = 1, OBJECT_DEVICE = 3, OBJECT_TEMPERATURE = 3303, RESOURCE_SENSOR_VALUE = 5700 };
enum { OBJECTS_TEXT = 32, OBJECTS_LONG_TEXT = 32 << 10, TEMPERATURES_MAX = 1000 };

struct temperature;

struct objects {
	struct temperature *temperatures; /* ascending by id */
	uint32_t temperature_count;
	uint32_t seed; /* no two devices measure the same */
	uint32_t lifetime_s, pmin_s, pmax_s, disable_timeout_s;
	int64_t clock_offset_s; /* 3/0/13 against the wall clock */
	/* Counts up with each notified temperature, and is the temperature, where a ledger is kept. */
	uint64_t sequence;
	bool numbered;
	bool storing;
	bool muted; /* 1/0/23 */
	uint8_t error_code;
	char binding[8];
	char utc_offset[8];
	char timezone[OBJECTS_TEXT];
};

/* What lies around the objects. Borrowed for a call. */
struct objects_env {
	const struct model *model;
	struct span endpoint;
	uint64_t wall_ms; /* Unix time */
	uint64_t up_ms;	  /* since the simulation began */
};

/* What a Write changed that the registration shows. */
enum { EFFECT_LIFETIME = 1, EFFECT_BINDING = 2, EFFECT_INSTANCES = 4 };

/* What an Execute asks of the device. */
enum objects_action {
	ACTION_NONE,
	ACTION_DISABLE,
	ACTION_UPDATE,
	ACTION_REBOOT,
	ACTION_FACTORY_RESET,
	ACTION_RESET_ERROR,
	ACTION_RESET_MEASURED,
};

/* `sensors` temperature sensors, from instance 0 on, and the values of a new device. -ENOMEM or 0. */
int objects_init(struct objects *o, uint32_t seed, uint32_t lifetime_s, const char *binding, bool numbered,
		 uint32_t sensors) NODISCARD;
void objects_deinit(struct objects *o);

/* 0 if there is such a thing, else COAP_NOT_FOUND, or COAP_UNAUTHORIZED for objects no server may see. */
uint8_t objects_check(const struct objects *o, const struct objects_env *env, const struct path *path);
/*
 * Walks over what is directly below `path`, ascending: start with *cursor = 0; false at the end. Resource
 * instances are below multiple resources only.
 */
bool objects_next(const struct objects *o, const struct objects_env *env, const struct path *path,
		  size_t *cursor, uint16_t *id);
/* Appends what a Read of `path` gives, of the root all that can be read. Returns COAP_CONTENT or an error
 * code. */
uint8_t objects_read(struct objects *o, const struct objects_env *env, const struct path *path,
		     struct records *out);
/*
 * Writes all of `in`, or nothing (but for memory that runs out meanwhile). `base` is the request's path: an
 * instance, what is below it, or the root for a composite. `replace`: of an instance, optional resources
 * which are not given go back to their defaults. Sets EFFECT_ bits. Returns COAP_CHANGED or an error code.
 */
uint8_t objects_write(struct objects *o, const struct objects_env *env, const struct path *base,
		      const struct records *in, bool replace, unsigned *effects);
/* Returns COAP_CHANGED and the action, or an error code. Resets within the objects are already done. */
uint8_t objects_execute(struct objects *o, const struct objects_env *env, const struct path *path,
			enum objects_action *action);
/*
 * A new temperature sensor with the id that `in` names, or the lowest free one. Returns COAP_CREATED and the
 * id, or an error code.
 */
uint8_t objects_create(struct objects *o, const struct objects_env *env, const struct path *base,
		       const struct records *in, uint16_t *id);
/* COAP_DELETED or an error code. */
uint8_t objects_delete(struct objects *o, const struct objects_env *env, const struct path *path);

/* Whether the value of this path is one number that changes, which gt, lt and st can be compared with. */
bool objects_is_numeric(const struct objects_env *env, const struct path *path);
/* Whether a Read of `path` contains a temperature. */
bool objects_shows_temperature(const struct path *path);
/* The links of a registration: ` </1/0>,</3/0>` and so on, with versions as this enabler writes them. */
void objects_links(const struct objects *o, const struct objects_env *env, struct buffer *out);
/* ";ver=1.1" behind an object's link if its version is not 1.0, else nothing. */
void objects_version(const struct objects_env *env, uint16_t object, struct buffer *out);
