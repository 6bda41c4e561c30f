-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- The fenced write. First all that can fail, and the decision; then the changes, of which none can fail: the
-- types of the keys have been looked at, and memory is judged once, before the script begins.
--
-- KEYS: device; with an event: stream, state of the stream; unless the record stays: bucket of the hash index,
--       expiry index, queue of requests
-- ARGV: floor, hot fields, change (0 keep, 1 put, 2 delete), places of the dedup ring where what is stored stays,
--       new owner (node, incarnation; '' no hand-over), ttl of a tombstone, type of the event (0 none),
--       endpoint with role, body, record, hash, endpoint; where others are to read the event too: its name, JSON, JSON
--       of what it replaces, partition
-- Answers: result, now, number of the queue, ms and seq of the event, hot fields as stored (not if done; after a
--       hand-over the new ones)

local now = clock(ARGV[1])
local new, change, event = ARGV[2], ARGV[3], ARGV[7] ~= '0'
local stored = load_hot(KEYS[1], now)
local exists = stored ~= '' and not deleted(stored)
local at = event and 4 or 2
local bucket, expiry, queue = KEYS[at], KEYS[at + 1], KEYS[at + 2]

local function same_owner()
	return new:sub(3, 14) == stored:sub(3, 14)
end

-- As fence.c has it.
local function judge()
	local gen, number = u32(new, 15), u64(new, 33)

	if stored == '' then
		return change == '1' and DONE or BEHIND
	end
	local stored_gen, stored_number = u32(stored, 15), u64(stored, 33)
	if deleted(stored) then
		if change == '1' and gen > stored_gen then
			return DONE
		end
		if not same_owner() or gen ~= stored_gen then
			return REFUSED
		end
		if change == '1' and number == stored_number + 1 then
			return DONE
		end
		return change == '2' and number == stored_number and ALREADY or REFUSED
	end
	if not same_owner() or gen < stored_gen then
		return REFUSED
	end
	if gen > stored_gen then
		return BEHIND
	end
	if number <= stored_number then
		return ALREADY
	end
	return number == stored_number + 1 and DONE or BEHIND
end

local function queue_number()
	return stored ~= '' and struct.unpack('>I2', stored, 23) or 0
end

local result = judge()

if result ~= DONE then
	return {result, now, queue_number(), 0, 0, stored}
end
if change ~= '0' then
	redis.call('ZCARD', bucket)
	redis.call('ZCARD', expiry)
	redis.call('HLEN', queue)
end

local ms, seq = 0, 0

-- The id that readers over HTTP know: ms, and (ms - EPOCH) << 22 | partition << 10 | seq in decimal digits (as
-- redis_sequence has it), which doubles only hold in two halves.
local function public_id()
	local since = math.max(ms - 1577836800000, 0)
	local low = since % 1000000 * 4194304 + ARGV[16] * 1024 + seq
	local high = math.floor(since / 1000000) * 4194304 + math.floor(low / 1000000)

	if high == 0 then
		return string.format('%.0f-%.0f', ms, low)
	end
	return string.format('%.0f-%.0f%06.0f', ms, high, low % 1000000)
end

-- Ids are chosen here and not by the server, because a sequence has ten bits for what happens in one millisecond.
local function add_event()
	local state = redis.call('GET', KEYS[3])
	local last_ms, last_seq, count, bytes = 0, 0, 0, 0

	if state then
		last_ms, last_seq, count, bytes = struct.unpack('>I8I4I8I8', state)
	end
	ms = math.max(now, last_ms)
	if ms == last_ms then
		seq = last_seq + 1
	end
	if seq > 1023 then
		ms, seq = ms + 1, 0
	end

	local id, size = string.format('%.0f-%d', ms, seq), #ARGV[8] + #ARGV[9] + 64
	local before, bytes_before = string.format('%.0f', count), string.format('%.0f', bytes)

	if ARGV[13] then
		size = size + #ARGV[12] + #ARGV[13] + #ARGV[14] + #ARGV[15] + 96
		redis.call('XADD', KEYS[2], id, 't', ARGV[7], 'd', ARGV[8], 'b', ARGV[9], 'c', before, 's',
			bytes_before, 'type', ARGV[13], 'ep', ARGV[12], 'time', string.format('%.0f', ms), 'id', public_id(),
			'json', ARGV[14], 'replaced', ARGV[15])
	else
		redis.call('XADD', KEYS[2], id, 't', ARGV[7], 'd', ARGV[8], 'b', ARGV[9], 'c', before, 's',
			bytes_before)
	end
	redis.call('SET', KEYS[3], struct.pack('>I8I4I8I8', ms, seq, count + 1, bytes + size))
end

-- What is pending in the owner's memory belongs to another request: its place keeps what is stored there.
local function settled()
	local tail = new:sub(33)

	for place in ARGV[4]:gmatch('%d') do
		local from = 26 + 11 * place
		local entry = stored ~= '' and stored:sub(from + 32, from + 42) or NO_ENTRY

		if u32(entry, 5) + LIFETIME_S < math.floor(now / 1000) then
			entry = NO_ENTRY
		end
		tail = tail:sub(1, from - 1) .. entry .. tail:sub(from + 11)
	end
	return tail
end

-- A store that was replaced by a copy of itself may have forgotten the owner after this one: then the gen goes
-- up by two. The run id is that of the last change of owner.
local function owner()
	local run = stored ~= '' and stored:sub(19, 22) or new:sub(19, 22)

	if ARGV[5] == '' then
		return new:sub(3, 18) .. run
	end
	local step = run == new:sub(19, 22) and 1 or 2
	return ARGV[5] .. struct.pack('>I4', u32(new, 15) + step) .. new:sub(19, 22)
end

local function expires()
	if change == '2' then
		return struct.pack('>I8', now + ARGV[6])
	end
	return change == '1' and new:sub(25, 32) or stored:sub(25, 32)
end

local hot = new:sub(1, 2) .. owner() .. struct.pack('>I2', queue_number()) .. expires() .. settled()

-- The index may tell a time too early, never one too late: it only moves when it has to.
local function move_expiry()
	local at_ms = u64(new, 25)
	local before = exists and u64(stored, 25) or 0

	if at_ms == 0 and before ~= 0 then
		redis.call('ZREM', expiry, ARGV[12])
	elseif at_ms ~= 0 and (before == 0 or at_ms < before) then
		redis.call('ZADD', expiry, at_ms, ARGV[12])
	end
end

if event then
	add_event()
end
if change == '0' then
	redis.call('SETRANGE', KEYS[1], 0, hot)
elseif change == '1' then
	redis.call('SET', KEYS[1], hot .. ARGV[10])
	if not exists then
		redis.call('ZADD', bucket, ARGV[11], ARGV[12])
		redis.call(stored == '' and 'DEL' or 'PERSIST', queue)
	end
	move_expiry()
else
	redis.call('SET', KEYS[1], hot, 'PX', ARGV[6])
	redis.call('ZREM', bucket, ARGV[12])
	redis.call('ZREM', expiry, ARGV[12])
	redis.call('PEXPIRE', queue, ARGV[6])
end
return {DONE, now, queue_number(), ms, seq, ARGV[5] ~= '' and hot or ''}
