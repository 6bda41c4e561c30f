/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/*
 * A queue of text blocks with the place in the log that each stands for, so that at any moment it is known
 * from where a client which was cut off here has to go on.
 */

#include "http/stream.h"

#include <errno.h>

struct queued {
	struct list node;
	struct block *block;
	struct store_cursor at;
};

struct block *block_new(struct buffer *text)
{
	struct block *b = text->failed ? NULL : malloc(sizeof(*b));

	if (!b) {
		buffer_deinit(text);
		return NULL;
	}
	*b = (struct block){1, *text};
	*text = buffer_of(0);
	return b;
}

void block_release(struct block *b)
{
	if (!b || --b->refs)
		return;
	buffer_deinit(&b->text);
	free(b);
}

static struct queued *first_of(const struct stream *s)
{
	return list_empty(&s->queue) ? NULL : container_of(s->queue.next, struct queued, node);
}

static void remove_queued(struct queued *q)
{
	list_remove(&q->node);
	block_release(q->block);
	free(q);
}

int stream_push(struct stream *s, struct block *b, struct store_cursor at)
{
	struct queued *q = malloc(sizeof(*q));

	if (!q)
		return -ENOMEM;
	*q = (struct queued){.block = b, .at = at};
	b->refs++;
	if (list_empty(&s->queue))
		s->progress_ms = uv_now(s->request->http->loop);
	list_append(&s->queue, &q->node);
	s->queued += b->text.len;
	return 0;
}

void stream_drop(struct stream *s)
{
	struct queued *begun = s->offset ? first_of(s) : NULL;

	list_for_each_safe (node, &s->queue) {
		struct queued *q = container_of(node, struct queued, node);

		if (q != begun)
			remove_queued(q);
	}
	s->queued = begun ? begun->block->text.len - s->offset : 0;
	if (begun)
		s->sent = begun->at;
}

size_t stream_take(struct stream *s, char *out, size_t max)
{
	size_t taken = 0;
	struct queued *q;

	while (taken < max && (q = first_of(s)) != NULL) {
		struct span rest = span_from(buffer_span(&q->block->text), s->offset);
		size_t len = MIN(rest.len, max - taken);

		memcpy(out + taken, rest.data, len);
		taken += len;
		s->offset += len;
		if (len < rest.len)
			break;
		s->offset = 0;
		s->sent = q->at;
		remove_queued(q);
	}
	s->queued -= taken;
	return taken;
}
