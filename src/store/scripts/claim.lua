-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- The owner changes if it still is the expected one.
-- KEYS: device
-- ARGV: floor, expected owner (node, incarnation, gen), new owner (node, incarnation), run id of the store
-- Answers: result, now, what is stored

local now = clock(ARGV[1])
local value = redis.call('GET', KEYS[1]) or ''
local hot = hot_of(value)

if not present(hot, now) then
	return {ABSENT, now, ''}
end
if deleted(hot) then
	return {ABSENT, now, hot}
end
if hot:sub(3, 18) ~= ARGV[2] then
	return {REFUSED, now, value}
end

local step = hot:sub(19, 22) == ARGV[4] and 1 or 2
local owner = ARGV[3] .. struct.pack('>I4', u32(hot, 15) + step) .. ARGV[4]

redis.call('SETRANGE', KEYS[1], 2, owner)
return {DONE, now, hot:sub(1, 2) .. owner .. value:sub(23)}
