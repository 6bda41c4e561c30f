/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The object list of a registration, read where it lies: which objects and instances a device announced, with
 * which versions, below which root. Lenient as lwm2m.md (R9 to R13) asks: what is no path we can use is
 * passed over.
 */

#include "coap/linkformat.h"
#include "lwm2m/registration.h"

static bool is_hidden(uint16_t object)
{
	return object == 0 || object == 21 || object == 23; /* R12 */
}

/* The part of a link's target below the root, or false if it lies elsewhere. */
static bool below_root(const struct registration *r, struct span target, struct span *out)
{
	if (r->root.len == 0) {
		*out = target;
		return true;
	}
	if (target.len <= r->root.len || memcmp(target.data, r->root.data, r->root.len) != 0)
		return false;
	*out = span_from(target, r->root.len);
	return out->data[0] == '/';
}

bool registration_next_link(const struct registration *r, struct span *left, struct registered_link *out)
{
	struct link_reader links = link_reader_of(*left);
	struct link link;
	struct span target;

	while (link_next(&links, &link) == LINK_OK) {
		*left = links.left;
		if (!below_root(r, link.target, &target) || !path_parse(target, &out->path))
			continue;
		if (out->path.depth == PATH_ROOT || is_hidden(out->path.ids[0]))
			continue;
		out->path = path_up_to(out->path, MIN(out->path.depth, PATH_INSTANCE));
		out->params = link.params;
		return true;
	}
	*left = span_of(NULL, 0);
	return false;
}

bool registered_link_version(const struct registered_link *l, struct object_version *out)
{
	struct link link = {.params = l->params};
	struct link_param ver;

	return link_param_find(&link, "ver", &ver) && object_version_parse(ver.value, out);
}

struct model registration_model(const struct registration *r, const struct registry *registry,
				struct declared_object *declared, size_t max)
{
	struct span left = r->links;
	struct registered_link link;
	size_t count = 0;

	while (count < max && registration_next_link(r, &left, &link)) {
		if (!registered_link_version(&link, &declared[count].version))
			continue;
		declared[count++].object = link.path.ids[0];
	}
	return (struct model){registry, r->lwm2m, declared, count};
}

bool registration_has(const struct registration *r, const struct path *path)
{
	struct span left = r->links;
	struct registered_link link;
	bool object = false, instances = false;

	while (registration_next_link(r, &left, &link)) {
		if (link.path.ids[0] != path->ids[0])
			continue;
		object = true;
		instances = instances || link.path.depth == PATH_INSTANCE;
		if (path->depth >= PATH_INSTANCE && link.path.depth == PATH_INSTANCE &&
		    link.path.ids[1] == path->ids[1])
			return true;
	}
	return object && (path->depth == PATH_OBJECT || !instances);
}

/* Whether a list such as "110 112 60" names the format. */
static bool lists_format(struct span list, uint16_t format)
{
	size_t at = 0;

	while (at < list.len) {
		size_t end = at;
		uint64_t number;

		while (end < list.len && list.data[end] != ' ')
			end++;
		if (span_to_uint(span_of(list.data + at, end - at), UINT16_MAX, &number) && number == format)
			return true;
		at = end + 1;
	}
	return false;
}

bool registration_supports(const struct registration *r, uint16_t format)
{
	struct link_reader links = link_reader_of(r->links);
	struct link link;
	struct link_param param;

	while (link_next(&links, &link) == LINK_OK) {
		struct span left = link.params;

		if (!link_param_find(&link, "rt", &param) || !span_is(param.value, "oma.lwm2m"))
			continue;
		while (link_param_next(&left, &param) == LINK_OK)
			if (span_is(param.name, "ct") && lists_format(param.value, format))
				return true;
	}
	return false;
}
