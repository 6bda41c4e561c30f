-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- KEYS: document, list of names, counter of versions
-- ARGV: name, version it must have (0 none, '*' any), ticket of the caller's, body
-- Answers: result, what is there afterwards ('' nothing)

local stored = redis.call('GET', KEYS[1]) or ''

if ARGV[2] ~= '*' then
	local version = stored == '' and 0 or u64(stored, 1)

	if version ~= tonumber(ARGV[2]) then
		return {REFUSED, stored}
	end
end
redis.call('ZCARD', KEYS[2])

local value = struct.pack('>I8', redis.call('INCR', KEYS[3])) .. ARGV[3] .. ARGV[4]

redis.call('SET', KEYS[1], value)
redis.call('ZADD', KEYS[2], 0, ARGV[1])
return {DONE, value}
