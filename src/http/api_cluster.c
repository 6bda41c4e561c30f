/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * The nodes, whose a device is, and sending a node's devices away. All of it is what the asked node knows
 * from the leases and the store; a server with a store of its own is a cluster of one.
 *
 * Whose a device is, is read from the store alone, by any node: asking must not move anything.
 */

#include "http/api.h"
#include "http/json.h"
#include "http/wait.h"

#include <errno.h>

enum { CLUSTER_TEXT_MAX = 256 * 1024 };

static void address_member(struct json *j, const char *name, const struct address *at)
{
	char text[ADDRESS_TEXT];

	if (at->port)
		json_member_str(j, name, address_format(at, text));
}

static void node_json(struct json *j, const struct http *h, const struct http_node *n)
{
	bool self = n->id == h->config.node;

	json_open(j, '{');
	json_member_uint(j, "id", n->id);
	json_member_uint(j, "incarnation", n->incarnation);
	json_member_str(j, "state", n->leaving ? "leaving" : "up");
	json_member_str(j, "version", n->version);
	address_member(j, "link", &n->link);
	address_member(j, "http", &n->http);
	if (h->config.cluster) {
		json_member_uint(j, "slots", n->slots);
		json_member_uint(j, "leaseLeftMs", n->left_ms);
	}
	if (self) /* what others have in memory only they know */
		json_member_uint(j, "devices", lwm2m_device_count(h->server));
	json_member_bool(j, "self", self);
	json_close(j, '}');
}

/* Of a server that is none of several. */
static struct http_node only_node(const struct http *h)
{
	return (struct http_node){.id = h->config.node,
				  .incarnation = store_incarnation(h->store),
				  .http = h->config.listen,
				  .version = h->config.version};
}

static bool node_at(const struct http *h, size_t index, struct http_node *out)
{
	const struct http_cluster *cluster = h->config.cluster;

	if (cluster)
		return cluster->node(cluster->ctx, index, out);
	*out = only_node(h);
	return index == 0;
}

void api_cluster(struct http_request *r)
{
	const struct http *h = r->http;
	const struct http_cluster *cluster = h->config.cluster;
	struct buffer text = buffer_of(CLUSTER_TEXT_MAX);
	struct json json = json_to(&text);
	struct store_stats store;
	struct http_node n;

	store_stats(h->store, &store);
	json_open(&json, '{');
	json_member_uint(&json, "node", h->config.node);
	json_member_bool(&json, "cluster", cluster != NULL);
	if (store.partitions)
		json_member_uint(&json, "partitions", store.partitions);
	json_member_bool(&json, "storeAway", store_silent_ms(h->store) > 0);
	json_member_bool(&json, "settling", cluster && cluster->settling(cluster->ctx));
	json_key(&json, "nodes");
	json_open(&json, '[');
	for (size_t i = 0; node_at(h, i, &n); i++)
		node_json(&json, h, &n);
	json_close(&json, ']');
	json_close(&json, '}');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

/* ---- whose a device is ---- */

static bool is_live(const struct http *h, const struct store_fence *owner)
{
	struct http_node n;

	for (size_t i = 0; node_at(h, i, &n); i++)
		if (n.id == owner->node)
			return n.incarnation == owner->incarnation;
	return false;
}

static void reply_owner(struct http_request *r, const struct store_fence *owner)
{
	struct buffer text = buffer_of(1024 + 6 * (size_t)STORE_ENDPOINT_MAX);
	struct json json = json_to(&text);

	json_open(&json, '{');
	json_member_text(&json, "ep", r->match.ep);
	json_member_uint(&json, "node", owner->node);
	json_member_uint(&json, "incarnation", owner->incarnation);
	json_member_uint(&json, "generation", owner->gen);
	json_member_bool(&json, "live", is_live(r->http, owner));
	json_close(&json, '}');
	request_reply(r, MHD_HTTP_OK, TYPE_JSON, &text);
}

static void on_found(void *ctx, int result, const struct store_device *device)
{
	struct waiter *w = ctx;
	struct http_request *r = wait_end(w);

	free(w);
	if (!r)
		return;
	if (result == STORE_DONE)
		reply_owner(r, &device->hot.fence);
	else if (result == STORE_ABSENT)
		request_problem(r, MHD_HTTP_NOT_FOUND, "No such device",
				"Nothing is stored of this endpoint.");
	else
		request_busy(r, "Service unavailable: the store does not say whose the device is");
}

void api_owner(struct http_request *r)
{
	const struct store_key key = {STORE_MANAGEMENT, r->match.ep};
	bool possible = key.endpoint.len > 0 && key.endpoint.len <= STORE_ENDPOINT_MAX;
	struct waiter *w;

	if (!possible) {
		request_problem(r, MHD_HTTP_NOT_FOUND, "No such device", "This is no name of an endpoint.");
		return;
	}
	w = wait_new(r, sizeof(*w));
	if (!w || store_find(r->http->store, key, on_found, w) == 0)
		return;
	(void)wait_end(w);
	free(w);
	request_busy(r, "Service unavailable: too many requests ask the store");
}

/* ---- sending devices away ---- */

void api_drain(struct http_request *r)
{
	const struct http_cluster *cluster = r->http->config.cluster;
	struct buffer empty = buffer_of(0);
	uint64_t id;
	int err = -ENOENT;

	if (!span_to_uint(r->target.segments[r->match.path_first], UINT32_MAX, &id))
		id = 0;
	if (cluster)
		err = cluster->drain(cluster->ctx, (uint32_t)id);
	else if (id == r->http->config.node)
		err = -EBUSY;
	if (err == 0)
		request_reply(r, MHD_HTTP_ACCEPTED, NULL, &empty);
	else if (err == -ENOENT)
		request_problem(r, MHD_HTTP_NOT_FOUND, "No such node",
				"GET /api/cluster has those there are.");
	else if (err == -EBUSY)
		request_problem(r, MHD_HTTP_CONFLICT, "Nobody to give to",
				"There is no other node that stays and could take the devices.");
	else
		request_busy(r, "Service unavailable: the node cannot be reached");
}
