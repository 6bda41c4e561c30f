-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- KEYS: device, queue
-- ARGV: floor
-- Answers: now, ids and requests

local now = clock(ARGV[1])

if load_hot(KEYS[1], now) == '' then
	return {now, {}}
end
return {now, redis.call('HGETALL', KEYS[2])}
