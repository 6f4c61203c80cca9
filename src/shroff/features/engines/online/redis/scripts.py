"""What Redis does atomically, in Lua. One call is one script; all keys of one share a slot.

Those that touch the state are given the epoch that their caller believes in: `NOSTATE` says that there is none, `EPOCH`
that it is another. All can be run again: the second time they find their own trace.

The *head* holds `epoch`, `newest` (event time) and `last` (arrival). A *marker*, one per payment, holds when it
`arrived`, who put it there (`owner`), its `event`, and the result and label known of it. A *log*, one per key, holds
what happened to it, as members that begin with their arrival (8 bytes, big-endian), which is also their score. The
*roll* holds the number with which each process answered last, and under the empty name the highest.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

_STATE: Final = """
local head = redis.call('HMGET', KEYS[1], 'epoch', 'newest', 'last')
if not head[1] then return redis.error_reply('NOSTATE') end
if head[1] ~= ARGV[1] then return redis.error_reply('EPOCH') end
local newest, last = tonumber(head[2]), tonumber(head[3])
local function arrive(newest)
  local now = redis.call('TIME')
  local arrival = math.max(now[1] * 1000000 + now[2], last + 1)
  redis.call('HSET', KEYS[1], 'newest', newest, 'last', arrival)
  return arrival, struct.pack('>I8', arrival)
end
local function append(log, arrival, member, kept)
  redis.call('ZADD', log, arrival, member)
  redis.call('PEXPIRE', log, kept)
end
"""

_WHOLE: Final = (
    _STATE
    + """
-- ARGV: epoch, seen; a server that lost what somebody has seen is not the state any more
if last < tonumber(ARGV[2]) then
  redis.call('HDEL', KEYS[1], 'epoch')
  return redis.error_reply('NOSTATE')
end
"""
)

OBSERVE: Final = (
    _WHOLE
    + """
-- KEYS: head, marker, logs; ARGV: epoch, seen, oldest, owner, time, kept, event, and per log: position, kept, event
local function unseen(again)
  local logs = {}
  for at = 3, #KEYS do
    logs[at - 2] = redis.call('ZRANGEBYSCORE', KEYS[at], again and '-inf' or '(' .. ARGV[at * 3 - 1], '+inf')
  end
  return logs
end
local first = redis.call('HGET', KEYS[2], 'arrived')
if first then return {2, tonumber(first), newest, unseen(true), {}} end
local time = tonumber(ARGV[5])
if time < newest - tonumber(ARGV[3]) then return {0, last, newest} end
newest = math.max(newest, time)
local logs = unseen(false)
local arrival, prefix = arrive(newest)
redis.call('HSET', KEYS[2], 'arrived', arrival, 'owner', ARGV[4], 'event', ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
local lengths = {}
for at = 3, #KEYS do
  append(KEYS[at], arrival, prefix .. ARGV[at * 3 + 1], ARGV[at * 3])
  lengths[at - 2] = redis.call('ZCARD', KEYS[at])
end
return {1, arrival, newest, logs, lengths}
"""
)

LATER: Final = (
    _STATE
    + """
-- KEYS: head, marker, logs; ARGV: epoch, kind, value, tag, and per log: kept, event
if redis.call('HEXISTS', KEYS[2], 'arrived') == 0 then return 0 end
local said = redis.call('HGET', KEYS[2], ARGV[2])
if said then return (struct.unpack('>I8', said)) end
local arrival, prefix = arrive(newest)
redis.call('HSET', KEYS[2], ARGV[2], prefix .. ARGV[3])
local known = redis.call('HMGET', KEYS[2], 'result', 'label')
local function value(held) return held and string.sub(held, 9) or '\\192' end
local entry = prefix .. ARGV[4] .. '\\147' .. value(known[1]) .. value(known[2])
for at = 3, #KEYS do
  append(KEYS[at], arrival, entry .. ARGV[at * 2], ARGV[at * 2 - 1])
end
return arrival
"""
)

RECALL: Final = (
    _STATE
    + """
-- KEYS: head, marker; ARGV: epoch
return redis.call('HGET', KEYS[2], 'event')
"""
)

FORGET: Final = (
    _STATE
    + """
-- KEYS: head, marker, logs; ARGV: epoch, owner, and per log: kept, event
if redis.call('HGET', KEYS[2], 'owner') ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2])
local arrival, prefix = arrive(newest)
for at = 3, #KEYS do
  append(KEYS[at], arrival, prefix .. ARGV[at * 2 - 2], ARGV[at * 2 - 3])
end
return 1
"""
)

ANSWER: Final = (
    _WHOLE
    + """
-- KEYS: head, roll; ARGV: epoch, seen, member, clear, kept, others
local number = redis.call('HINCRBY', KEYS[2], '', 1)
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4] == '1' and number or -number)
for at = 6, #ARGV do redis.call('HSETNX', KEYS[2], ARGV[at], 0) end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return redis.call('HGETALL', KEYS[2])
"""
)

TRIM: Final = """
-- KEYS: log; ARGV: upto, snapshot, kept
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
if not first[1] or tonumber(first[2]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
"""

CLAIM: Final = """
-- KEYS: head, claim; ARGV: token, held
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
local now = redis.call('TIME')
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or 0)
local arrival = math.max(now[1] * 1000000 + now[2], last + 1)
redis.call('HSET', KEYS[1], 'last', arrival)
return arrival
"""

HOLD: Final = """
-- KEYS: claim; ARGV: token, held
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

OPEN: Final = """
-- KEYS: head, claim; ARGV: token, epoch, newest, mark
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'newest', ARGV[3], 'mark', ARGV[4])
redis.call('DEL', KEYS[2])
return 1
"""

SCRIPTS: Final = {
    # Redis names a script by this hash; nothing is secured by it
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (OBSERVE, RECALL, LATER, FORGET, ANSWER, TRIM, CLAIM, HOLD, OPEN)
}
