-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Which node serves the former channels.
-- KEYS: lease
-- ARGV: holder, time to live (ms)
-- Answers: result

local holder = redis.call('GET', KEYS[1])

if holder and holder ~= ARGV[1] then
	return REFUSED
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return DONE
