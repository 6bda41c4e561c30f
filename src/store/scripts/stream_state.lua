-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- What trimming has to know of each stream.
-- KEYS: stream, state, stream, state, ...
-- ARGV: floor
-- Answers: now, and of each stream: events added, bytes added, those before the first that is left, its time
--       (0: none is left)

local answer = {clock(ARGV[1])}

for i = 1, #KEYS, 2 do
	local state = redis.call('GET', KEYS[i + 1])
	local first = redis.call('XRANGE', KEYS[i], '-', '+', 'COUNT', 1)[1]
	local count, bytes, before, bytes_before, ms = 0, 0, 0, 0, 0

	if state then
		count, bytes = struct.unpack('>I8I8', state, 13)
		before, bytes_before = count, bytes
	end
	if first then
		before, bytes_before = tonumber(first[2][8]), tonumber(first[2][10])
		ms = tonumber(first[1]:match('^%d+'))
	end
	answer[#answer + 1] = {count, bytes, before, bytes_before, ms}
end
return answer
