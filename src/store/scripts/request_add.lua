-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- A queue is a hash from ids to requests; the field '' has the number of the next one and the bytes of all.
-- KEYS: device, queue
-- ARGV: floor, id, request (state, deadline, body), at most so many, and so many bytes
-- Answers: result, now

local now = clock(ARGV[1])
local hot = load_hot(KEYS[1], now)

if hot == '' or deleted(hot) then
	return {ABSENT, now}
end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then
	return {ALREADY, now}
end

local head = redis.call('HGET', KEYS[2], '')
local order, bytes = 0, 0

if head then
	order, bytes = struct.unpack('>I8I8', head)
end
bytes = bytes + #ARGV[2] + #ARGV[3] + 8
if redis.call('HLEN', KEYS[2]) - (head and 1 or 0) >= tonumber(ARGV[4]) or bytes > tonumber(ARGV[5]) then
	return {REFUSED, now}
end
redis.call('HSET', KEYS[2], '', struct.pack('>I8I8', order + 1, bytes), ARGV[2],
	struct.pack('>I8', order) .. ARGV[3])
redis.call('SETRANGE', KEYS[1], 22, struct.pack('>I2', (struct.unpack('>I2', hot, 23) + 1) % 65536))
return {DONE, now}
