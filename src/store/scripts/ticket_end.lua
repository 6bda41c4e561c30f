-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- The answer, once whoever comes first.
-- KEYS: ticket, stream of answers
-- ARGV: entry, ticket, word if none was told, kind, status, error, text, answers that the stream keeps, its time to
--       live (ms), time to live of the ticket (ms), bytes of a text that are kept with the ticket
-- Answers: result

local t = redis.call('HMGET', KEYS[1], 'entry', 'state', 'ack')

redis.call('XLEN', KEYS[2])
if t[1] ~= ARGV[1] or t[2] == '3' then
	return ALREADY
end

local function add(...)
	redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[8], '*', 'ticket', ARGV[2], 'entry', ARGV[1], ...)
end

if not t[3] and ARGV[3] == 'refused' then
	add('type', 'ack', 'ack', ARGV[3], 'reason', ARGV[7])
elseif not t[3] then
	add('type', 'ack', 'ack', ARGV[3])
end
if ARGV[4] == 'result' then
	add('type', 'result', 'json', ARGV[7])
else
	add('type', 'error', 'status', ARGV[5], 'error', ARGV[6], 'message', ARGV[7])
end
redis.call('PEXPIRE', KEYS[2], ARGV[9])
if #ARGV[7] > tonumber(ARGV[11]) then
	redis.call('HSET', KEYS[1], 'state', '3', 'kind', 'error', 'status', '410', 'error', 'not-kept', 'text',
		'the request was answered; the answer is too long to be told again')
else
	redis.call('HSET', KEYS[1], 'state', '3', 'kind', ARGV[4], 'status', ARGV[5], 'error', ARGV[6], 'text', ARGV[7])
end
redis.call('PEXPIRE', KEYS[1], ARGV[10])
return DONE
