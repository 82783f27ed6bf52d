"""The Lua scripts of the Redis store: each runs whole or not at all, on one partition's slot.

No script is marked `no-writes`, not even a script that only reads. So a replica refuses them all,
and a gate can never judge by a server that is not a master.
"""

from __future__ import annotations

# KEYS[1] is always meta. A script that takes an epoch answers FENCED or LOST where it is not ours.
_OWN = """
local function own(epoch)
  local stored = redis.call('HGET', KEYS[1], 'epoch')
  if stored == epoch then return nil end
  if stored and tonumber(stored) > tonumber(epoch) then return 'FENCED' end
  return 'LOST'
end
"""
# Fields and values from ARGV[first]: ARGV[first] pairs to set, then the rest to delete. In slices,
# as unpack() takes some 8,000 values.
_PUT = """
local function put(hash, first)
  local pairs_end = first + 2 * tonumber(ARGV[first])
  for i = first + 1, pairs_end, 4000 do
    redis.call('HSET', hash, unpack(ARGV, i, math.min(i + 3999, pairs_end)))
  end
  for i = pairs_end + 1, #ARGV, 4000 do
    redis.call('HDEL', hash, unpack(ARGV, i, math.min(i + 3999, #ARGV)))
  end
end
"""

# The list's metadata: epoch, mark, ready, partitions, format, config, committed, and for how many
# ms its owner was not heard.
_META = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function meta()
  local found = redis.call(
    'HMGET', KEYS[1],
    'epoch', 'mark', 'ready', 'partitions', 'format', 'config', 'committed', 'beat'
  )
  if found[8] then found[8] = now_ms() - tonumber(found[8]) end
  return found
end
local function beat()
  redis.call('HSET', KEYS[1], 'beat', string.format('%.0f', now_ms()))
end
-- Whether a gate asked for a rebuild, which may write nothing else: then the list is not whole.
local function is_asked_to_rebuild(asked)
  if redis.call('DEL', asked) == 0 then return false end
  redis.call('HDEL', KEYS[1], 'ready')
  return true
end
"""

# Ids that were handled: strings of 8 bytes an id, a hash value's worth of ids in each, by time.
_HANDLED = """
local function place_of(id, held)
  local at = string.find(held, id, 1, true)
  while at and at % 8 ~= 1 do at = string.find(held, id, at + 1, true) end
  return at
end
local function each_id(ids, first, work)
  for i = 1, #ids / 8 do work(string.sub(ids, 8 * i - 7, 8 * i), KEYS[first + i - 1]) end
end
local function remember(ids, first, ms)
  each_id(ids, first, function(id, key)
    redis.call('APPEND', key, id)
    redis.call('PEXPIRE', key, ms)
  end)
end
"""

# Replies that brakes count: values by brake (10 bytes), a hash for each hour. ARGV[first]: how many
# hashes, then for each brake, length, value, and so on; an empty value deletes. The hashes are
# KEYS[first_key] and those behind it; those behind these are dropped.
_REPLIED = """
local function put_replied(first_key, first, ms)
  local hashes = tonumber(ARGV[first])
  for i = 1, hashes do
    local key, values, at, fields = KEYS[first_key + i - 1], ARGV[first + i], 1, {}
    while at < #values do
      local brake, size = string.sub(values, at, at + 9), string.byte(values, at + 10)
      if size == 0 then
        redis.call('HDEL', key, brake)
      else
        fields[#fields + 1] = brake
        fields[#fields + 1] = string.sub(values, at + 11, at + 10 + size)
      end
      at = at + 11 + size
    end
    for j = 1, #fields, 4000 do
      redis.call('HSET', key, unpack(fields, j, math.min(j + 3999, #fields)))
    end
    redis.call('PEXPIRE', key, ms)
  end
  for i = first_key + hashes, #KEYS do redis.call('UNLINK', KEYS[i]) end
  return first + hashes + 1
end
"""

# ARGV: at_least, the newest format that the owner writes. Answers meta as the owner before left it,
# or NEWER where a newer format was written.
CLAIM = (
    "#!lua\n"
    + _META
    + """
local written = string.match(redis.call('HGET', KEYS[1], 'format') or '0', '^%d+')
if not written or tonumber(written) > tonumber(ARGV[2]) then return 'NEWER' end
local now = now_ms()
local stored = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local epoch = string.format('%.0f', math.max(stored, now, tonumber(ARGV[1])) + 1)
redis.call('HSET', KEYS[1], 'epoch', epoch)
local found = meta()
beat()
return found
"""
)

# KEYS: meta, entries, then the keys that may hold each id, then hashes of counted replies. ARGV:
# entry keys, one a line; ids; how many keys an id has; for each of the hashes its brakes, one after
# another. Answers meta, the indexes and values of the entries found (few of the thousands asked
# for), the indexes of the ids found, and the server's replication info. Last come the brakes found,
# each with its value.
READ = (
    "#!lua flags=allow-oom\n"
    + _META
    + _HANDLED
    + """
local function each_found(hash, fields, work)
  for i = 1, #fields, 4000 do
    local slice = redis.call('HMGET', hash, unpack(fields, i, math.min(i + 3999, #fields)))
    for j = 1, #slice do
      if slice[j] then work(i + j - 1, slice[j]) end
    end
  end
end
local keys, found = {}, {}
for key in string.gmatch(ARGV[1], '[^\\n]+') do keys[#keys + 1] = key end
each_found(KEYS[2], keys, function(at, value)
  found[#found + 1] = at - 1
  found[#found + 1] = value
end)
local handled, each = {}, tonumber(ARGV[3])
for i = 1, #ARGV[2] / 8 do
  local id = string.sub(ARGV[2], 8 * i - 7, 8 * i)
  for j = 3 + (i - 1) * each, 2 + i * each do
    local held = redis.call('GET', KEYS[j])
    if held and place_of(id, held) then
      handled[#handled + 1] = i - 1
      break
    end
  end
end
local replied, hours = {}, 2 + #ARGV[2] / 8 * each
for i = 4, #ARGV do
  local brakes = {}
  for at = 1, #ARGV[i], 10 do brakes[#brakes + 1] = string.sub(ARGV[i], at, at + 9) end
  each_found(KEYS[hours + i - 3], brakes, function(at, value)
    replied[#replied + 1] = brakes[at]
    replied[#replied + 1] = value
  end)
end
return {meta(), found, handled, redis.call('INFO', 'replication'), replied}
"""
)

# KEYS: meta, entries, undo, asked, then a key for each id, then hashes of counted replies. ARGV:
# epoch, expected mark, mark, undo record, config, ids, ms that ids are remembered, ms that replies
# are, then what `put_replied` takes, and what `put` takes.
WRITE = (
    "#!lua\n"
    + _META
    + _OWN
    + _PUT
    + _HANDLED
    + _REPLIED
    + """
local refused = own(ARGV[1])
if refused then return refused end
local last = redis.call('HMGET', KEYS[1], 'mark', 'ready')
if not last[2] then return 'LOST' end
if last[1] == ARGV[3] then
  beat() -- a write, for WAIT: on a new connection it would not wait for the first one
  return 'OK'
end
if last[1] ~= ARGV[2] then return 'LOST' end
if is_asked_to_rebuild(KEYS[4]) then return 'LOST' end
put(KEYS[2], put_replied(5 + #ARGV[6] / 8, 9, ARGV[8]))
remember(ARGV[6], 5, ARGV[7])
redis.call('SET', KEYS[3], ARGV[4])
redis.call('HSET', KEYS[1], 'mark', ARGV[3], 'config', ARGV[5])
beat()
return 'OK'
"""
)

# KEYS: meta, asked. ARGV: epoch, mark of the last commit. Answers meta.
BEAT = (
    "#!lua\n"
    + _META
    + _OWN
    + """
local refused = own(ARGV[1])
if refused then return refused end
is_asked_to_rebuild(KEYS[2])
redis.call('HSET', KEYS[1], 'committed', ARGV[2])
beat()
return meta()
"""
)

# KEYS: meta, entries, undo, then a key for each id, then hashes of counted replies. ARGV: epoch,
# mark, 1 or 0, config, ids that were not handled after all, ms that replies are remembered, then
# what `put_replied` takes, and `put`. 0 is not whole: in one step with the mark, which would hide
# it.
SETTLE = (
    "#!lua\n"
    + _OWN
    + _PUT
    + _HANDLED
    + _REPLIED
    + """
local refused = own(ARGV[1])
if refused then return refused end
put(KEYS[2], put_replied(4 + #ARGV[5] / 8, 7, ARGV[6]))
each_id(ARGV[5], 4, function(id, key)
  local held = redis.call('GET', key)
  local at = held and place_of(id, held)
  if at then
    local left = string.sub(held, 1, at - 1) .. string.sub(held, at + 8)
    if left == '' then redis.call('DEL', key) else redis.call('SET', key, left, 'KEEPTTL') end
  end
end)
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[1], 'mark', ARGV[2], 'committed', ARGV[2])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'config', ARGV[4]) end
if ARGV[3] == '0' then redis.call('HDEL', KEYS[1], 'ready') end
return 'OK'
"""
)

# KEYS: meta, rebuilt, asked. ARGV: epoch.
BEGIN_REBUILD = (
    "#!lua\n"
    + _OWN
    + """
local refused = own(ARGV[1])
if refused then return refused end
redis.call('HDEL', KEYS[1], 'ready')
redis.call('HSET', KEYS[1], 'rebuilt', 0)
redis.call('UNLINK', KEYS[2], KEYS[3])
return 'OK'
"""
)

# KEYS: meta, rebuilt. ARGV: epoch, then what `put` takes.
ADD_REBUILT = (
    "#!lua\n"
    + _OWN
    + _PUT
    + """
local refused = own(ARGV[1])
if refused then return refused end
put(KEYS[2], 2)
redis.call('HINCRBY', KEYS[1], 'rebuilt', 1)
return 'OK'
"""
)

# KEYS: meta, then a key for each id, then hashes of counted replies. ARGV: epoch, ids, ms that ids
# are remembered, ms that replies are, then what `put_replied` takes.
REMEMBER = (
    "#!lua\n"
    + _OWN
    + _HANDLED
    + _REPLIED
    + """
local refused = own(ARGV[1])
if refused then return refused end
each_id(ARGV[2], 2, function(id, key)
  local held = redis.call('GET', key)
  if not (held and place_of(id, held)) then redis.call('APPEND', key, id) end
  redis.call('PEXPIRE', key, ARGV[3])
end)
put_replied(2 + #ARGV[2] / 8, 5, ARGV[4])
redis.call('HINCRBY', KEYS[1], 'rebuilt', 1)
return 'OK'
"""
)

# KEYS: meta, entries, rebuilt, undo. ARGV: epoch, mark, ready, partitions, steps of the rebuild (a
# failover meanwhile may have kept the epoch and lost some of what was put since), format, config.
FINISH_REBUILD = (
    "#!lua\n"
    + _OWN
    + """
local refused = own(ARGV[1])
if refused then return refused end
if redis.call('HGET', KEYS[1], 'rebuilt') ~= ARGV[5] then return 'LOST' end
redis.call('HDEL', KEYS[1], 'rebuilt')
-- RENAME would free the old list at once, which takes long where it is long.
redis.call('UNLINK', KEYS[2], KEYS[4])
if redis.call('EXISTS', KEYS[3]) == 1 then redis.call('RENAME', KEYS[3], KEYS[2]) end
redis.call(
  'HSET', KEYS[1], 'mark', ARGV[2], 'committed', ARGV[2], 'ready', ARGV[3], 'partitions', ARGV[4],
  'format', ARGV[6], 'config', ARGV[7]
)
return 'OK'
"""
)
