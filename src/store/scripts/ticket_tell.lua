-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- The word before the answer, once; that a request waits for its device may follow that it was accepted.
-- KEYS: ticket, stream of answers
-- ARGV: entry, ticket, word, answers that the stream keeps, its time to live (ms), time to live of the ticket (ms),
--       fields and values
-- Answers: result

local t = redis.call('HMGET', KEYS[1], 'entry', 'state', 'ack')

if t[1] ~= ARGV[1] or t[2] ~= '1' or (t[3] and ARGV[3] == 'accepted') then
	return REFUSED
end
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], '*', 'ticket', ARGV[2], 'entry', ARGV[1], 'type', 'ack', 'ack',
	ARGV[3], unpack(ARGV, 7))
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('HSET', KEYS[1], 'ack', ARGV[3])
if ARGV[3] == 'queued' then
	redis.call('HSET', KEYS[1], 'state', '2')
	redis.call('PEXPIRE', KEYS[1], ARGV[6])
end
return DONE
