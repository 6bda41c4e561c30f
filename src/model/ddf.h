/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "model/registry.h"

/* Object definitions as the OMA registry publishes them: the Device Description Framework in XML. */

enum { DDF_SIZE_MAX = 1 << 20, DDF_RESOURCES_MAX = 4096, DDF_ERROR = 160 };

enum ddf_outcome {
	DDF_OK = 0,
	DDF_INVALID = 1, /* `error` says what is wrong, and in which line */
};

/*
 * Adds the definitions in `xml` to the registry; one of the same object and version is replaced. All of them
 * or none. *count says how many there are. Document types and entities are refused, nothing outside of `xml`
 * is ever read. Returns an enum ddf_outcome or -ENOMEM.
 */
int ddf_load(struct registry *r, struct span xml, enum object_origin origin, size_t *count,
	     char error[DDF_ERROR]);
