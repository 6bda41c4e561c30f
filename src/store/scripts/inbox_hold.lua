-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Says that this consumer still works on these entries, as far as they are still its own.
-- KEYS: stream of requests
-- ARGV: group, consumer, ids
-- Answers: how many are

local own = 0

for i = 3, #ARGV do
	if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1, ARGV[2]) == 1 then
		redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
		own = own + 1
	end
end
return own
