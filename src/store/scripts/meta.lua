-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Makes the store if it is empty, and gives out an incarnation if one is asked for.
-- KEYS: meta
-- ARGV: floor, schema, hash key, partitions, buckets, '1' for an incarnation
-- Answers: now, schema, hash key, partitions, buckets, incarnation

local now = clock(ARGV[1])

if redis.call('HLEN', KEYS[1]) == 0 then
	redis.call('HSET', KEYS[1], 'schema', ARGV[2], 'hash-key', ARGV[3], 'partitions', ARGV[4], 'buckets',
		ARGV[5], 'incarnation', '0')
end

local m = redis.call('HMGET', KEYS[1], 'schema', 'hash-key', 'partitions', 'buckets', 'incarnation')

-- Never twice, also not by a store that was emptied and began to count anew.
if ARGV[6] == '1' and m[1] == ARGV[2] then
	m[5] = string.format('%.0f', math.max(now * 1024, tonumber(m[5]) + 1))
	redis.call('HSET', KEYS[1], 'incarnation', m[5])
end
return {now, m[1], m[2], m[3], m[4], m[5]}
