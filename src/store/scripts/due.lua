-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- The index may have told a time too early: then it learns the right one.
-- KEYS: device, expiry index
-- ARGV: floor, endpoint
-- Answers: now, what is stored, or '' if it is not due

local now = clock(ARGV[1])
local value = redis.call('GET', KEYS[1]) or ''
local hot = hot_of(value)

if hot == '' or deleted(hot) or u64(hot, 25) == 0 then
	redis.call('ZREM', KEYS[2], ARGV[2])
	return {now, ''}
end
if u64(hot, 25) > now then
	redis.call('ZADD', KEYS[2], u64(hot, 25), ARGV[2])
	return {now, ''}
end
return {now, value}
