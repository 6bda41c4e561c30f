/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "base/log.h"
#include "base/span.h"
#include "model/registry.h"

struct uv_loop_s;
struct store;

/*
 * Adds the operator's object definitions to the registry, before the loop serves anybody: all *.xml files of
 * `directory` (NULL: none), then those that the northbound interface has put into the store. A file that
 * cannot be read is said in the log, with its line, and left out. < 0: the directory or the store cannot be
 * read.
 */
int models_load(struct registry *registry, const char *directory, struct store *store, struct uv_loop_s *loop,
		struct log *log);
/* Another node has put or removed the definition `name`, "OBJECT/VERSION": reads it again. What is passed has
 * to live until the store is closed. */
void models_reload(struct registry *registry, struct store *store, struct log *log, struct span name);
