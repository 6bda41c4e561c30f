-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- KEYS: leases
-- ARGV: floor
-- Answers: now, nodes and leases

return {clock(ARGV[1]), redis.call('HGETALL', KEYS[1])}
