-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- The consumer group of all nodes; it begins with what was sent before there was one. Consumers of processes that
-- ended long ago go.
-- KEYS: stream of requests
-- ARGV: group, idle time (ms) after which a consumer that has nothing goes
-- Answers: result

local made = redis.pcall('XGROUP', 'CREATE', KEYS[1], ARGV[1], '0', 'MKSTREAM')

if made.err and not made.err:match('^%-?BUSYGROUP') then
	return made
end
for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
	local field = {}

	for i = 1, #consumer, 2 do
		field[consumer[i]] = consumer[i + 1]
	end
	if field['pending'] == 0 and field['idle'] > tonumber(ARGV[2]) then
		redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], field['name'])
	end
end
return DONE
