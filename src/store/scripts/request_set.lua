-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- KEYS: device, queue
-- ARGV: floor, owner (node, incarnation, gen), id, state, deadline, body ('' as it is)
-- Answers: result, now, the request as it is, or was before it was removed

local now = clock(ARGV[1])
local hot = load_hot(KEYS[1], now)
local head = redis.call('HGET', KEYS[2], '')
local stored = redis.call('HGET', KEYS[2], ARGV[3])

if hot == '' or not stored then
	return {ABSENT, now, ''}
end
if hot:sub(3, 18) ~= ARGV[2] then
	return {REFUSED, now, ''}
end

local order, bytes = struct.unpack('>I8I8', head)

if ARGV[4] == '0' then
	redis.call('HSET', KEYS[2], '', struct.pack('>I8I8', order, bytes - #ARGV[3] - #stored))
	redis.call('HDEL', KEYS[2], ARGV[3])
	return {DONE, now, stored}
end

local body = ARGV[6] ~= '' and ARGV[6] or stored:sub(18)
local value = stored:sub(1, 8) .. string.char(ARGV[4]) .. ARGV[5] .. body

redis.call('HSET', KEYS[2], ARGV[3], value, '', struct.pack('>I8I8', order, bytes - #stored + #value))
return {DONE, now, value}
