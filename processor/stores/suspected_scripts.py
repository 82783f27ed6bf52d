"""The scripts that keep the texts to review; `suspected_texts` calls them.

A text is in `open` by its due time until it is decided on. From then on it is in `decided` by the
time of the decision. There is a list for all accounts, and a list for each account.
"""

from __future__ import annotations

from collections.abc import Iterable

from processor.stores.extents import EXTENT
from processor.stores.redis_client import Script

# ARGV: topic and next as they were seen, topic and next to begin with.
BEGIN: Script[Iterable[bytes | None]] = Script(
    EXTENT
    + """
if is_at(ARGV[1], ARGV[2]) then
  redis.call('HSET', KEYS[1], 'topic', ARGV[3], 'next', ARGV[4])
end
return said()
"""
)
# The lists are KEYS 2 and 3, and `open_of` and `decided_of` of an account. ARGV 4 to 6: ms that a
# list lives without a change, and the times up to which what is open, and what is decided, is gone.
_PUT = """
local function put(id, is_open, due, at, open_of, decided_of)
  local score, out, into = at, {KEYS[2], open_of}, {KEYS[3], decided_of}
  if is_open then score, out, into = due, into, out end
  for i, key in ipairs(into) do
    redis.call('ZREM', out[i], id)
    redis.call('ZADD', key, score, id)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', is_open and ARGV[5] or ARGV[6])
    redis.call('PEXPIRE', key, ARGV[4])
  end
end
"""
# KEYS: extent, open, decided, then for each text: text, review, its recipient's texts, open and
# decided of its account. ARGV: topic, next as seen, the new next, three as above; then for each
# text: id, due ("": blocked already), time, ms to live, value.
ADD_TEXTS: Script[Iterable[bytes | None]] = Script(
    EXTENT
    + _PUT
    + """
if not is_at(ARGV[1], ARGV[2]) then return said() end
local at = 7
for i = 4, #KEYS, 5 do
  local id, due, came, px = ARGV[at], ARGV[at + 1], ARGV[at + 2], tonumber(ARGV[at + 3])
  if px > 0 then
    redis.call('HSET', KEYS[i], 'value', ARGV[at + 4], 'due', due == '' and came or due)
    redis.call('PEXPIRE', KEYS[i], px)
    redis.call('ZADD', KEYS[i + 2], came, id)
    redis.call('PEXPIRE', KEYS[i + 2], ARGV[4])
    local review = redis.call('HMGET', KEYS[i + 1], 'open', 'at')
    local is_open = due ~= ''
    if review[1] then is_open = review[1] == '1' end
    put(id, is_open, due, review[2] or came, KEYS[i + 3], KEYS[i + 4])
  end
  at = at + 5
end
redis.call('HSET', KEYS[1], 'next', ARGV[3])
return said()
"""
)
# KEYS: extent, open, decided, then for each review: text, review, open and decided of its account.
# ARGV: topic, next as seen, the new next, three as above, whether the reviews are the topic's next.
# Then for each review: id, number, whether it is open, time, ms to live, value. The last record of
# the topic wins; out of its order, only a later number does.
ADD_REVIEWS: Script[Iterable[bytes | None]] = Script(
    EXTENT
    + _PUT
    + """
local follows = ARGV[7] == '1'
if follows and not is_at(ARGV[1], ARGV[2]) then return said() end
local at = 8
for i = 4, #KEYS, 4 do
  local id, number, is_open, time = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local px, review = tonumber(ARGV[at + 4]), KEYS[i + 1]
  local before = tonumber(redis.call('HGET', review, 'number') or '0')
  if px > 0 and (number > before or (follows and number == before)) then
    local value = ARGV[at + 5]
    redis.call('HSET', review, 'number', number, 'open', is_open, 'at', time, 'value', value)
    redis.call('PEXPIRE', review, px)
    local due = redis.call('HGET', KEYS[i], 'due')
    if due then put(id, is_open == '1', due, time, KEYS[i + 2], KEYS[i + 3]) end
  end
  at = at + 6
end
if follows then redis.call('HSET', KEYS[1], 'next', ARGV[3]) end
return said()
"""
)
