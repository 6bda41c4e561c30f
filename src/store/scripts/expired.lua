-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Takes devices from the list of those whose time is over, by putting them off.
-- KEYS: expiry index
-- ARGV: floor, at most so many, put off by (ms)
-- Answers: now, endpoints

local now = clock(ARGV[1])
local due = redis.call('ZRANGE', KEYS[1], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[2])

for _, endpoint in ipairs(due) do
	redis.call('ZADD', KEYS[1], now + ARGV[3], endpoint)
end
return {now, due}
