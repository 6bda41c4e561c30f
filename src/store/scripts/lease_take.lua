-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- KEYS: leases
-- ARGV: floor, node, incarnation, ttl, body
-- Answers: result, now, the lease that counts

local now = clock(ARGV[1])
local stored = redis.call('HGET', KEYS[1], ARGV[2])

if stored and stored:sub(1, 8) ~= ARGV[3] and u64(stored, 9) > now then
	return {REFUSED, now, stored}
end

local lease = ARGV[3] .. struct.pack('>I8', now + ARGV[4]) .. ARGV[5]

redis.call('HSET', KEYS[1], ARGV[2], lease)
return {DONE, now, lease}
