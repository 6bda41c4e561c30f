/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/bytes.h"
#include "model/path.h"

/* Parts that event bodies and stored requests are made of. A reader fails on what is no such part. */

static inline void write_span32(struct buffer *out, struct span s)
{
	buffer_uint(out, s.len, 4);
	buffer_bytes(out, s);
}

static inline struct span read_span32(struct reader *r)
{
	return reader_bytes(r, reader_u32(r));
}

static inline void write_path(struct buffer *out, const struct path *p)
{
	buffer_u8(out, p->depth);
	for (unsigned i = 0; i < p->depth; i++)
		buffer_uint(out, p->ids[i], 2);
}

static inline void read_path(struct reader *r, struct path *p)
{
	*p = (struct path){.depth = reader_u8(r)};
	if (p->depth > PATH_RESOURCE_INSTANCE) {
		r->failed = true;
		p->depth = 0;
	}
	for (unsigned i = 0; i < p->depth; i++)
		p->ids[i] = reader_u16(r);
}
