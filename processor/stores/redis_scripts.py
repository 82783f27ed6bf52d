"""The Lua scripts of the Redis store: each runs whole or not at all, on one partition's slot.

None is marked `no-writes`, not even the reading ones: so a replica refuses them all, and a gate can
never judge by a server that is no master.
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

# What the list says of itself: epoch, mark, ready, partitions, ms since its owner was heard.
_META = """
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function meta()
  local found = redis.call('HMGET', KEYS[1], 'epoch', 'mark', 'ready', 'partitions', 'beat')
  if found[5] then found[5] = now_ms() - tonumber(found[5]) end
  return found
end
local function beat()
  redis.call('HSET', KEYS[1], 'beat', string.format('%.0f', now_ms()))
end
"""

# ARGV: at_least. Answers meta.
CLAIM = (
    "#!lua\n"
    + _META
    + """
local now = now_ms()
local stored = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
local epoch = string.format('%.0f', math.max(stored, now, tonumber(ARGV[1])) + 1)
redis.call('HSET', KEYS[1], 'epoch', epoch)
beat()
return meta()
"""
)

# KEYS: meta, recipients, seen... ARGV: list keys, one a line. Answers meta, then the indexes and
# values of the keys found (of thousands asked for few are), then seen.
READ = (
    "#!lua flags=allow-oom\n"
    + _META
    + """
local keys, found = {}, {}
for key in string.gmatch(ARGV[1], '[^\\n]+') do keys[#keys + 1] = key end
for i = 1, #keys, 4000 do
  local slice = redis.call('HMGET', KEYS[2], unpack(keys, i, math.min(i + 3999, #keys)))
  for j = 1, #slice do
    if slice[j] then
      found[#found + 1] = i + j - 2
      found[#found + 1] = slice[j]
    end
  end
end
local seen = {}
for i = 3, #KEYS do seen[i - 2] = redis.call('EXISTS', KEYS[i]) end
return {meta(), found, seen}
"""
)

# KEYS: meta, recipients, undo, seen... ARGV: epoch, expected mark, mark, seen ms, undo record,
# then what `put` takes.
WRITE = (
    "#!lua\n"
    + _META
    + _OWN
    + _PUT
    + """
local refused = own(ARGV[1])
if refused then return refused end
local last = redis.call('HMGET', KEYS[1], 'mark', 'ready')
if not last[2] then return 'LOST' end
if last[1] == ARGV[3] then return 'OK' end
if last[1] ~= ARGV[2] then return 'LOST' end
put(KEYS[2], 6)
for i = 4, #KEYS do redis.call('SET', KEYS[i], '', 'PX', ARGV[4]) end
redis.call('SET', KEYS[3], ARGV[5])
redis.call('HSET', KEYS[1], 'mark', ARGV[3])
beat()
return 'OK'
"""
)

# KEYS: meta. ARGV: epoch. Answers meta.
BEAT = (
    "#!lua\n"
    + _META
    + _OWN
    + """
local refused = own(ARGV[1])
if refused then return refused end
beat()
return meta()
"""
)

# KEYS: meta, recipients, undo, seen... ARGV: epoch, mark, 1 or 0 (not whole: in one step with the
# mark, which would hide it), then what `put` takes.
SETTLE = (
    "#!lua\n"
    + _OWN
    + _PUT
    + """
local refused = own(ARGV[1])
if refused then return refused end
put(KEYS[2], 4)
for i = 4, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('DEL', KEYS[3])
redis.call('HSET', KEYS[1], 'mark', ARGV[2])
if ARGV[3] == '0' then redis.call('HDEL', KEYS[1], 'ready') end
return 'OK'
"""
)

# KEYS: meta, rebuilt. ARGV: epoch.
BEGIN_REBUILD = (
    "#!lua\n"
    + _OWN
    + """
local refused = own(ARGV[1])
if refused then return refused end
redis.call('HDEL', KEYS[1], 'ready')
redis.call('HSET', KEYS[1], 'rebuilt', 0)
redis.call('DEL', KEYS[2])
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

# KEYS: meta, seen... ARGV: epoch, then the ms that each is remembered.
REMEMBER = (
    "#!lua\n"
    + _OWN
    + """
local refused = own(ARGV[1])
if refused then return refused end
for i = 2, #KEYS do redis.call('SET', KEYS[i], '', 'PX', ARGV[i]) end
redis.call('HINCRBY', KEYS[1], 'rebuilt', 1)
return 'OK'
"""
)

# KEYS: meta, recipients, rebuilt, undo. ARGV: epoch, mark, ready, partitions, steps of the rebuild:
# a failover meanwhile may have kept the epoch and lost some of what was put since.
FINISH_REBUILD = (
    "#!lua\n"
    + _OWN
    + """
local refused = own(ARGV[1])
if refused then return refused end
if redis.call('HGET', KEYS[1], 'rebuilt') ~= ARGV[5] then return 'LOST' end
redis.call('HDEL', KEYS[1], 'rebuilt')
if redis.call('EXISTS', KEYS[3]) == 1 then
  redis.call('RENAME', KEYS[3], KEYS[2])
else
  redis.call('DEL', KEYS[2])
end
redis.call('DEL', KEYS[4])
redis.call('HSET', KEYS[1], 'mark', ARGV[2], 'ready', ARGV[3], 'partitions', ARGV[4])
return 'OK'
"""
)
