/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* Object definition files: all of a file's definitions are there afterwards, or the registry is as before;
 * and each is whole. */

#include "fuzz.h"

#include "model/ddf.h"

#include <errno.h>

static size_t definitions(const struct registry *r)
{
	size_t count = 0;

	while (registry_at(r, count))
		count++;
	return count;
}

static void check_definition(const struct registry *r, const struct object_def *o)
{
	char urn[64];

	assert(o->name && o->description);
	assert(strlen(object_urn(o, urn)) < sizeof(urn));
	assert(registry_find(r, o->id, o->version) == o);
	for (size_t i = 0; i < o->resource_count; i++) {
		const struct resource_def *d = &o->resources[i];

		assert(i == 0 || o->resources[i - 1].id < d->id);
		assert(d->type < VALUE_TYPES && d->name && d->range && d->units && d->description);
		assert(utf8_valid(span_str(d->name)) && utf8_valid(span_str(d->description)));
		assert(object_resource(o, d->id) == d);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct registry *r = registry_new();
	size_t before = definitions(r), count = 0;
	char error[DDF_ERROR] = "";
	const struct object_def *o;
	int rc = ddf_load(r, span_of(data, size), ORIGIN_FILE, &count, error);

	assert(rc == DDF_OK || rc == DDF_INVALID || rc == -ENOMEM);
	if (rc == DDF_OK)
		assert(count > 0 && definitions(r) <= before + count);
	else
		assert(definitions(r) == before);
	if (rc == DDF_INVALID)
		assert(error[0] && strlen(error) < sizeof(error));
	for (size_t i = 0; rc == DDF_OK && (o = registry_at(r, i)); i++)
		check_definition(r, o);
	registry_free(r);
	return 0;
}
