-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Requests that wait for their device: a hash from their ids to when they came and when they end (Unix ms, 8 bytes
-- each) and what the nodes have to know of them; and when to look for the end of each.
-- KEYS: waiting, when
-- ARGV: floor, id, ends (ms), what is to be known
-- Answers: result

local now = clock(ARGV[1])

redis.call('ZCARD', KEYS[2])
redis.call('HSET', KEYS[1], ARGV[2], struct.pack('>I8I8', now, ARGV[3]) .. ARGV[4])
redis.call('ZADD', KEYS[2], now + 1000, ARGV[2])
return DONE
