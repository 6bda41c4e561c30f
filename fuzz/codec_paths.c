/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */

/* The body of a FETCH in SenML JSON or CBOR: the paths that were read are written and read alike. */

#include "fuzz.h"

#include "codec/codec.h"

#include <errno.h>

enum { PATHS_MAX = 64, ARENA = 1 << 20, OUT = 1 << 16, CBOR = 1, ROOT = 2 };

static void check_again(struct codec_context *c, uint16_t format, const struct path *paths, size_t count)
{
	_cleanup_buffer_ struct buffer out = buffer_of(OUT);
	struct path again[PATHS_MAX];
	size_t again_count = 0;
	int rc = codec_encode_paths(format, c->root, paths, count, &out);

	assert(rc == CODEC_OK);
	arena_reset(c->arena);
	rc = codec_decode_paths(c, format, buffer_span(&out), again, PATHS_MAX, &again_count);
	assert(rc == CODEC_OK && again_count == count);
	for (size_t i = 0; i < count; i++)
		assert(path_compare(&paths[i], &again[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t flags = size ? data[0] : 0;
	uint16_t format = flags & CBOR ? FORMAT_SENML_CBOR : FORMAT_SENML_JSON;
	_cleanup_copy_ struct span payload = fuzz_copy(span_from(span_of(data, size), 1));
	_cleanup_arena_ struct arena arena;
	struct codec_context c = {.root = flags & ROOT ? span_str("/lwm2m") : span_of(NULL, 0),
				  .arena = &arena};
	struct path paths[PATHS_MAX];
	size_t count = 0;
	int rc;

	arena_init(&arena, ARENA);
	rc = codec_decode_paths(&c, format, payload, paths, PATHS_MAX, &count);
	assert(rc == -ENOMEM || rc == CODEC_OK || rc == CODEC_MALFORMED);
	assert(strlen(c.error) < sizeof(c.error) && (rc == CODEC_OK || count == 0) && count <= PATHS_MAX);
	for (size_t i = 0; i < count; i++)
		assert(paths[i].depth <= PATH_RESOURCE_INSTANCE);
	if (count)
		check_again(&c, format, paths, count);
	return 0;
}
