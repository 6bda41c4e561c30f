-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- KEYS: device, expiry index
-- ARGV: floor, endpoint, time (ms; 0: never)
-- Answers: result, now

local now = clock(ARGV[1])
local hot = load_hot(KEYS[1], now)

if hot == '' or deleted(hot) then
	return {ABSENT, now}
end
redis.call('ZCARD', KEYS[2])
redis.call('SETRANGE', KEYS[1], 24, struct.pack('>I8', ARGV[3]))
if ARGV[3] == '0' then
	redis.call('ZREM', KEYS[2], ARGV[2])
else
	redis.call('ZADD', KEYS[2], ARGV[3], ARGV[2])
end
return {DONE, now}
