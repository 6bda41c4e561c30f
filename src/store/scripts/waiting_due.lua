-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Those whose end is to be looked for now. Each is put off by as long as it waits already, so that many that wait
-- long cost little; the node that got it deals with it, or it comes back.
-- KEYS: waiting, when
-- ARGV: floor, at most so many
-- Answers: now, ids and values

local now = clock(ARGV[1])
local answer = {now}

for _, id in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', now, 'BYSCORE', 'LIMIT', 0, ARGV[2])) do
	local value = redis.call('HGET', KEYS[1], id)

	if value then
		local came, ends = struct.unpack('>I8I8', value)
		local next_at = now + math.min(math.max(now - came, 1000), 300000)

		if ends > now then
			next_at = math.min(next_at, ends + 1000)
		end
		redis.call('ZADD', KEYS[2], next_at, id)
		answer[#answer + 1] = id
		answer[#answer + 1] = value
	else
		redis.call('ZREM', KEYS[2], id)
	end
end
return answer
