-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Drops events before a time, but none that a consumer group has not got, or not acknowledged - unless it has to
-- be, and then an event says which are lost.
-- KEYS: stream, state
-- ARGV: floor, before this time (ms), '1' also what groups still want, type of the event that tells so
-- Answers: events dropped

local now = clock(ARGV[1])
local before = tonumber(ARGV[2])
local state = redis.call('GET', KEYS[2])
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]

local function time_of(id)
	return tonumber(id:match('^%d+'))
end

-- The oldest time at which there is something for one of the groups, or nil.
local function wanted()
	local oldest

	for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
		local field = {}

		for i = 1, #group, 2 do
			field[group[i]] = group[i + 1]
		end
		local at = time_of(field['last-delivered-id'])
		local pending = redis.call('XPENDING', KEYS[1], field['name'])[2]

		if pending then
			at = math.min(at, time_of(pending))
		end
		oldest = math.min(oldest or at, at)
	end
	return oldest
end

if not state or not first or time_of(first[1]) >= before then
	return 0
end

local oldest = wanted()
local lost = oldest and oldest < before

if lost and ARGV[3] ~= '1' then
	before, lost = oldest, false
end

local dropped = redis.call('XTRIM', KEYS[1], 'MINID', '=', string.format('%.0f', before))

if lost and dropped > 0 then
	local last_ms, last_seq, count, bytes = struct.unpack('>I8I4I8I8', state)
	local body = struct.pack('>I8I8', time_of(first[1]), before)
	local ms = math.max(now, last_ms + 1)

	redis.call('XADD', KEYS[1], string.format('%.0f-0', ms), 't', ARGV[4], 'd', '', 'b', body,
		'c', string.format('%.0f', count), 's', string.format('%.0f', bytes), 'type', 'LOST', 'time',
		string.format('%.0f', ms), 'json', string.format('{"from":%.0f,"to":%.0f}', time_of(first[1]), before))
	redis.call('SET', KEYS[2], struct.pack('>I8I4I8I8', ms, 0, count + 1, bytes + #body + 160))
end
return dropped
