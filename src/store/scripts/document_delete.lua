-- SPDX-License-Identifier: Apache-2.0
-- SPDX-FileCopyrightText: the shoal authors

-- KEYS: document, list of names
-- ARGV: name
-- Answers: result

redis.call('ZCARD', KEYS[2])
redis.call('ZREM', KEYS[2], ARGV[1])
return redis.call('DEL', KEYS[1]) == 1 and DONE or ABSENT
