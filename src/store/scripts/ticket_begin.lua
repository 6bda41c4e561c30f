-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Whose request this is, and whether it is to be executed. A ticket is a hash: entry (id in the stream of
-- requests), state (1 begun, 2 waits for its device, 3 answered), holder, ack (once it was told), and of the answer:
-- kind, status, error, text.
--
-- KEYS: ticket, stream of answers
-- ARGV: entry, ticket, holder, '1' if it may be executed again, time to live (ms), answers that the stream of answers
--       keeps, its time to live (ms)
-- Answers: what to do

local RUN, UNKNOWN, OVER = 1, 2, 3
local t = redis.call('HMGET', KEYS[1], 'entry', 'state', 'holder', 'kind', 'status', 'error', 'text')
local entry, state, holder = t[1], t[2], t[3]

-- Raises what is wrong with it before anything is changed.
redis.call('XLEN', KEYS[2])

local function answer(...)
	redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[6], '*', 'ticket', ARGV[2], 'entry', ARGV[1], 'repeat', '1', ...)
	redis.call('PEXPIRE', KEYS[2], ARGV[7])
	return OVER
end

if not entry then
	redis.call('HSET', KEYS[1], 'entry', ARGV[1], 'state', '1', 'holder', ARGV[3])
	redis.call('PEXPIRE', KEYS[1], ARGV[5])
	return RUN
end
if entry ~= ARGV[1] then
	if state == '1' then
		return answer('type', 'ack', 'ack', 'accepted')
	elseif state == '2' then
		return answer('type', 'ack', 'ack', 'queued')
	elseif t[4] == 'result' then
		return answer('type', 'result', 'json', t[7])
	end
	return answer('type', 'error', 'status', t[5], 'error', t[6], 'message', t[7])
end
if state ~= '1' then
	return OVER
end
-- Whoever had it is dead, or this command was sent again after a lost answer.
redis.call('HSET', KEYS[1], 'holder', ARGV[3])
if holder == ARGV[3] or ARGV[4] == '1' then
	return RUN
end
return UNKNOWN
