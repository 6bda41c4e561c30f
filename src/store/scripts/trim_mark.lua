-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- Says before which time events may be gone. Told before they go, so that a reader is told of each gap.
-- KEYS: mark
-- ARGV: time (ms)

if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then
	redis.call('SET', KEYS[1], ARGV[1])
end
return DONE
