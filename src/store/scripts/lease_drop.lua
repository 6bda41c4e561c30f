-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- KEYS: leases
-- ARGV: node, incarnation

local stored = redis.call('HGET', KEYS[1], ARGV[1])

if stored and stored:sub(1, 8) == ARGV[2] then
	redis.call('HDEL', KEYS[1], ARGV[1])
end
return DONE
