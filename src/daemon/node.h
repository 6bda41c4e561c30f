/* SPDX-License-Identifier: Apache-2.0 */
/* SPDX-FileCopyrightText: the shoal authors */
#pragma once

#include "daemon/settings.h"
#include "daemon/supervisor.h"

/*
 * Runs a node until it is told to stop. `settings` and `shared` are borrowed; `shared` is NULL for one that
 * shares its ports with no others. Returns the exit status of the process: 0
 * after an orderly stop, 1 if it could not start (said in the log), 2 for settings that do not go together
 * (said on stderr).
 */
int node_run(const struct daemon_settings *settings, const struct shared *shared);
