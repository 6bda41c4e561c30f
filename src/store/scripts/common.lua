-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- In front of every script. What a device's string looks like is told in store/redis_keys.h.

local DONE, ALREADY, REFUSED, BEHIND, ABSENT = 0, 1, 2, 3, 4
local HOT = 145
local LIFETIME_S = 247
local NO_ENTRY = string.rep('\0', 11)

-- The store's time in ms. `floor` is the latest that any node of the caller's has heard: a clock that was set
-- back, or that of a replica which lags, does not make events go back.
local function clock(floor)
	local t = redis.call('TIME')

	return math.max(t[1] * 1000 + math.floor(t[2] / 1000), tonumber(floor))
end

-- The 64-bit numbers we calculate with stay below 2^53, which doubles hold exactly.
local function u64(s, at)
	return (struct.unpack('>I8', s, at))
end

local function u32(s, at)
	return (struct.unpack('>I4', s, at))
end

-- Hot fields, '' if there are none. Whatever is wrong with the key is raised here, before any change.
local function hot_of(value)
	if value ~= '' and (#value < HOT or value:byte(1) ~= 1) then
		error({err = 'BADVALUE what is stored is no device of this version'})
	end
	return value:sub(1, HOT)
end

local function deleted(hot)
	return hot:byte(2) == 1
end

-- A tombstone whose time is over counts as nothing, whether the server has removed it yet or not.
local function present(hot, now)
	return hot ~= '' and not (deleted(hot) and u64(hot, 25) <= now)
end

local function load_hot(key, now)
	local hot = hot_of(redis.call('GETRANGE', key, 0, HOT - 1))

	return present(hot, now) and hot or ''
end
