"""What Redis does atomically, in Lua. One call is one script; all keys of one share a slot.

Scripts that use the state get the epoch that their caller follows: the error `NOSTATE` means that
there is none, `EPOCH` that it is another. All scripts are idempotent.

The *head* holds `epoch`, `newest` (event time), `last` (arrival), the `mark` with which the epoch
was opened, and a checksum of epoch and mark (`sum`).

A *marker*, one per payment and so compact, is a text: when it arrived (8 bytes, big-endian), its
owner (8 bytes), its event. With its first result or label it becomes a hash of these (`a`, `o`,
`e`), of the result and label that stand: when it arrived (8 bytes), its rank (1 byte), and what it
says; and of when each label arrived, by its token (`l:TOKEN`).

A *log*, one per key, lists its events in order of arrival, with which each entry begins (8 bytes,
big-endian). One that was trimmed begins with empty entries before its snapshot, so that it is
longer than `SHORT_LOG_ENTRIES`. A process sends the arrival of the last entry that it knows, and
how many there were with it. A shorter log that is as long as the process knows it has nothing new:
it was only ever appended to. Of others the last entry is looked at.

The *roll* holds the number of each process's last heartbeat, and under the empty name the highest.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

from shroff.features.engines.online.redis import fill_scripts
from shroff.features.engines.online.redis.fill_scripts import TIME

SHORT_LOG_ENTRIES: Final = 64
"""A log that was trimmed has more entries than that."""

_STATE: Final = (
    TIME
    + """
local head = redis.call('HMGET', KEYS[1], 'epoch', 'newest', 'last')
if not head[1] then return redis.error_reply('NOSTATE') end
if head[1] ~= ARGV[1] then return redis.error_reply('EPOCH') end
local newest, last = tonumber(head[2]), tonumber(head[3])
-- also not a number, and none that is so large that its neighbours are no numbers
if not (newest and last) or newest ~= newest or not (last < 1e16) then
  error('the head holds no times')
end
local function arrived(entry) return (struct.unpack('>I8', entry)) end
-- keys expire by the clock, which arrivals may be ahead of
local function expire(log, kept, arrival)
  redis.call('PEXPIRE', log, kept + math.ceil((arrival - now) / 1000))
end
"""
)

_APPEND: Final = """
local function arrive(newest)
  local arrival = math.max(now, last + 1)
  redis.call('HSET', KEYS[1], 'newest', newest, 'last', arrival)
  return arrival, struct.pack('>I8', arrival)
end
local function append(log, entry, kept, arrival)
  redis.call('RPUSH', log, entry)
  expire(log, tonumber(kept), arrival)
end
"""

_WHOLE: Final = (
    _STATE
    + """
-- ARGV: epoch, seen, lateness; a server that lost what somebody has seen is not the state any
-- more, nor is one that forgot more than its clock, which was set back, says
local late = tonumber(ARGV[3])
if last < tonumber(ARGV[2]) or newest - late > math.max(0, now - late + ahead(late)) then
  redis.call('HDEL', KEYS[1], 'epoch')
  return redis.error_reply('NOSTATE')
end
"""
)

_UNSEEN: Final = """
local function reached(entry)
  local arrival, kind = struct.unpack('>I8c1', entry)
  if not string.find('pucsrl', kind, 1, true) then error('this is no entry') end
  return arrival
end
-- without what makes a log longer before its snapshot
local function unpadded(entries)
  if entries[1] ~= '' then return entries end
  local found = {}
  for _, entry in ipairs(entries) do
    if entry ~= '' or found[1] then found[#found + 1] = entry end
  end
  if string.sub(found[1] or '', 9, 9) ~= 's' then error('this is no entry') end
  return found
end
-- the entries after a position, which may be preceded by some before it; `upto`: -1 is the last
local function unseen(log, position, upto)
  if position < 0 then return unpadded(redis.call('LRANGE', log, '0', upto)) end
  local last = redis.call('LINDEX', log, upto)
  if not last or reached(last) <= position then return {} end
  -- not from the beginning, where a large snapshot may be that is known
  local entries, take = {last}, 1
  while #entries == take and entries[1] ~= '' and reached(entries[1]) > position do
    take = take * 2
    entries = redis.call('LRANGE', log, upto + 1 - take, upto)
  end
  entries = unpadded(entries)
  for _, entry in ipairs(entries) do reached(entry) end
  return entries
end
"""

_MARKED: Final = """
local function marked(marker)
  local kind, held = redis.call('TYPE', marker).ok
  if kind == 'none' then return nil end
  local arrival, owner, event
  if kind == 'string' then
    held = redis.call('GET', marker)
    arrival, owner = struct.unpack('>I8c8', held)
    event = string.sub(held, 17)
  else
    held = redis.call('HMGET', marker, 'a', 'o', 'e')
    arrival, owner, event = tonumber(held[1]), held[2], held[3]
  end
  if not (arrival and event and arrival > 0 and arrival <= last) then error('this is no marker') end
  return arrival, owner, event
end
"""

OBSERVE: Final = (
    _WHOLE
    + _UNSEEN
    + _MARKED
    + """
-- KEYS: head, and per payment: marker, logs
-- ARGV: epoch, seen, lateness, owner, kept, for how long each kind of log is kept (ms), how many
-- payments, and these, packed: time, how many logs, what the marker keeps, and per log: kind,
-- position, length, the arrival from which on it is renewed, entry
-- the reply: newest and now, the first of their arrivals; of those that are not added, the arrival
-- (0: too late); of logs that others have written: payment, place, length, entries
-- numbers in commands are texts where they can be: Redis writes others as real ones, of 17 digits
local call, unpack = redis.call, struct.unpack
local kinds, count, sent, read = cmsgpack.unpack(ARGV[6]), tonumber(ARGV[7]), ARGV[8], 1
local first, before, at = math.max(now, last + 1), newest, 2
last = first + count - 1
local others, news, touched = {}, {}, {}
local function tell(number, place, length, entries)
  local told = #news
  news[told + 1], news[told + 2], news[told + 3], news[told + 4] = number, place, length, entries
end
local function push(number, place, log, arrival, prefix)
  local kind, position, known, due, entry
  kind, position, known, due, entry, read = unpack('>BdidI4c0', sent, read)
  if not arrival then return end
  local length, kept = call('RPUSH', log, prefix .. entry), kinds[kind + 1]
  if length == 1 or arrival >= due then expire(log, kept, arrival) end
  if touched[log] then return end
  touched[log] = true
  local more, entries = length - 1 - known
  if more == 0 then
    -- all is known of a log that was only appended to: it was never trimmed, and has not expired
    -- since, as it lives for sixteen seventeenths of `kept` (`log.py`) after each of its entries
    if length == 1 or known <= SHORT and arrival - position < kept * 900 then return end
    if arrived(call('LINDEX', log, '-2')) == position then return end
  elseif more > 0 and known > 0 then
    entries = call('LRANGE', log, -2 - more, '-2')
  end
  if not entries or entries[1] == '' or arrived(entries[1]) ~= position then
    entries = unseen(log, position, -2)
  end
  tell(number, place, length, entries)
end
for number = 1, count do
  local arrival, marker, time, logs, event = first + number - 1, KEYS[at]
  local prefix = struct.pack('>I8', arrival)
  time, logs, event, read = unpack('>dBI4c0', sent, read)
  local fits = time >= newest - late
  if fits and call('SET', marker, prefix .. ARGV[4] .. event, 'NX', 'PX', ARGV[5]) then
    newest = math.max(newest, math.min(time, now))
  else
    arrival = marked(marker)
    if fits and not arrival then error('this is no marker') end
    others[#others + 1], others[#others + 2] = number, arrival or 0
    for place = 1, arrival and logs or 0 do
      tell(number, place, 0, unseen(KEYS[at + place], -1, -1))
    end
    arrival = nil
  end
  prefix = prefix .. 'p'
  for place = 1, logs do push(number, place, KEYS[at + place], arrival, prefix) end
  at = at + 1 + logs
end
call('HSET', KEYS[1], 'last', last, 'newest', newest)
return {before, now, first, others, news}
""".replace("SHORT", str(SHORT_LOG_ENTRIES))
)

READ: Final = (
    _STATE
    + _UNSEEN
    + """
-- KEYS: head, logs; ARGV: epoch, and per log: position
local logs = {}
for at = 2, #KEYS do logs[at - 1] = unseen(KEYS[at], tonumber(ARGV[at]), -1) end
return {last, logs}
"""
)

LATER: Final = (
    _STATE
    + _MARKED
    + _APPEND
    + """
-- KEYS: head, marker, logs; ARGV: epoch, kind, value, tag, rank, arrived (0: now), token,
-- and per log: kept, event
if redis.call('TYPE', KEYS[2]).ok == 'string' then
  local first, owner, event = marked(KEYS[2])
  local left = redis.call('PTTL', KEYS[2])
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'a', first, 'o', owner, 'e', event)
  if left > 0 then redis.call('PEXPIRE', KEYS[2], left) end
end
if redis.call('HEXISTS', KEYS[2], 'a') == 0 then return 0 end
local kind, rank, word, token = ARGV[2], tonumber(ARGV[5]), tonumber(ARGV[6]), 'l:' .. ARGV[7]
local said = redis.call('HGET', KEYS[2], kind)
if said and kind == 'result' then return arrived(said) end
local told = ARGV[7] ~= '' and redis.call('HGET', KEYS[2], token)
if told then return tonumber(told) end
local arrival, prefix = arrive(newest)
if word == 0 then word = arrival end
if ARGV[7] ~= '' then redis.call('HSET', KEYS[2], token, string.format('%.0f', word)) end
if said then
  local before = string.byte(said, 9)
  if before < rank or (before == rank and arrived(said) > word) then return word end
end
redis.call('HSET', KEYS[2], kind, struct.pack('>I8B', word, rank) .. ARGV[3])
local function value(held) return held and string.sub(held, 10) or '\\192' end
if said and not string.find(value(said), '^[\\194\\195]$') then error('this is no label') end
if said and value(said) == ARGV[3] then return word end
local known = redis.call('HMGET', KEYS[2], 'result', 'label')
local tag = said and 'c\\148' or ARGV[4] .. '\\147'
local head = prefix .. tag .. value(known[1]) .. value(known[2])
for at = 3, #KEYS do
  local entry = head .. ARGV[at * 2 + 3] .. (said and value(said) or '')
  append(KEYS[at], entry, ARGV[at * 2 + 2], arrival)
end
return word
"""
)

RECALL: Final = (
    _STATE
    + _MARKED
    + """
-- KEYS: head, marker; ARGV: epoch
local _, _, event = marked(KEYS[2])
return event
"""
)

FORGET: Final = (
    _STATE
    + _MARKED
    + _APPEND
    + """
-- KEYS: head, marker, logs; ARGV: epoch, owner, and per log: kept, event
local _, owner = marked(KEYS[2])
if owner ~= ARGV[2] then return 0 end
redis.call('DEL', KEYS[2])
local arrival, prefix = arrive(newest)
for at = 3, #KEYS do
  append(KEYS[at], prefix .. ARGV[at * 2 - 2], ARGV[at * 2 - 3], arrival)
end
return 1
"""
)

HEARTBEAT: Final = (
    _WHOLE
    + """
-- KEYS: head, roll; ARGV: epoch, seen, lateness, member, clear, kept, others
local number = redis.call('HINCRBY', KEYS[2], '', 1)
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5] == '1' and number or -number)
for at = 7, #ARGV do redis.call('HSETNX', KEYS[2], ARGV[at], 0) end
redis.call('PEXPIRE', KEYS[2], ARGV[6])
return redis.call('HGETALL', KEYS[2])
"""
)

TRIM: Final = """
-- KEYS: log; ARGV: upto, snapshot
local upto, left = tonumber(ARGV[1]), redis.call('PTTL', KEYS[1])
local entries, old, padding = redis.call('LRANGE', KEYS[1], 0, -1), 0, {}
while entries[old + 1] == '' do old = old + 1 end
if not entries[old + 1] or struct.unpack('>I8', entries[old + 1]) >= upto then return 0 end
while entries[old + 1] and struct.unpack('>I8', entries[old + 1]) <= upto do old = old + 1 end
redis.call('LTRIM', KEYS[1], old, -1)
for at = 1, SHORT do padding[at] = '' end
redis.call('LPUSH', KEYS[1], ARGV[2], unpack(padding))
if left > 0 then redis.call('PEXPIRE', KEYS[1], left) end
return 1
""".replace("SHORT", str(SHORT_LOG_ENTRIES))

SCRIPTS: Final = {
    # Redis names a script by this hash; nothing is secured by it
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (
        *(OBSERVE, READ, RECALL, LATER, FORGET, HEARTBEAT, TRIM),
        *fill_scripts.SCRIPTS,
    )
}
