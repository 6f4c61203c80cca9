"""What Redis does atomically, in Lua. One call is one script; all keys of one share a slot.

Scripts that use the state get the epoch that their caller follows: the error `NOSTATE` means that
there is none, `EPOCH` that it is another, `LOST` that keys of it were removed. All scripts are
idempotent.

The *head* holds `epoch`, `newest` (event time), `last` (arrival), the `mark` with which the epoch
was opened, and a checksum of epoch and mark (`sum`); and who added the last event (`writer`), and
the arrival `since` which nobody else has added one.

A *marker*, one per payment and so compact, is a text: when it arrived (8 bytes, big-endian), its
owner (8 bytes), its event. With its first result or label it becomes a hash of these (`a`, `o`,
`e`), of the result and label that stand: when it arrived (8 bytes), its rank (1 byte), and what it
says; and of when each label arrived, by its token (`l:TOKEN`).

A *log*, one per key, lists its events in order of arrival, with which each entry begins (8 bytes,
big-endian). A process sends the arrival of the last entry that it knows (its *position*), and how
many there were with it. If there are as many, and nobody else has added or trimmed anything since,
there is nothing to read; of other logs an entry at the end is compared. A log that begins behind
the position, and with no snapshot, was removed and begun anew: the state has lost events.

The *roll* holds the number of each process's last heartbeat, and under the empty name the highest.
"""

from __future__ import annotations

from hashlib import sha1
from typing import Final

from shroff.features.engines.online.redis import fill_scripts
from shroff.features.engines.online.redis.fill_scripts import TIME

_STATE: Final = (
    TIME
    + """
local head = redis.call('HMGET', KEYS[1], 'epoch', 'newest', 'last', 'writer', 'since')
if not head[1] then return redis.error_reply('NOSTATE') end
if head[1] ~= ARGV[1] then return redis.error_reply('EPOCH') end
local newest, last = tonumber(head[2]), tonumber(head[3])
-- also not a number, and none that is so large that its neighbours are no numbers
if not (newest and last) or newest ~= newest or not (last < 1e16) then
  error('the head holds no times')
end
-- as text
local function whole(number) return string.format('%d', number) end
local function arrived(entry) return (struct.unpack('>I8', entry)) end
-- keys expire by the clock, which arrivals may be ahead of
local function expire(log, kept, arrival)
  redis.call('PEXPIRE', log, kept + math.ceil((arrival - now) / 1000))
end
"""
)

_APPEND: Final = """
local function arrive(owner)
  local arrival = math.max(now, last + 1)
  redis.call('HSET', KEYS[1], 'last', whole(arrival))
  if head[4] ~= owner then redis.call('HSET', KEYS[1], 'writer', owner, 'since', whole(arrival)) end
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
-- ARGV: epoch, and a list in MessagePack that begins with seen and lateness; a server that lost
-- what somebody has seen is not the state any more, nor is one that forgot more than its clock,
-- which was set back, says
local sent = cmsgpack.unpack(ARGV[2])
local late = sent[2]
if last < sent[1] or newest - late > math.max(0, now - late + ahead(late)) then
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
-- the entries after a position, which may be preceded by some before it, and whether the one at the
-- position is gone; `upto`: -1 is the last
local function unseen(log, position, upto)
  if position < 0 then return redis.call('LRANGE', log, '0', upto) end
  local entry = redis.call('LINDEX', log, upto)
  local arrival = entry and reached(entry) or -1
  if arrival <= position then return {}, arrival < position end
  -- not from the beginning, where a large snapshot may be that is known
  local entries, take = {entry}, 1
  while #entries == take and reached(entries[1]) > position do
    take = take * 2
    entries = redis.call('LRANGE', log, upto + 1 - take, upto)
  end
  for _, entry in ipairs(entries) do reached(entry) end
  return entries, reached(entries[1]) > position and string.sub(entries[1], 9, 9) ~= 's'
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
-- ARGV: epoch; in MessagePack seen, lateness, how many payments and kinds of log, for how long each
-- kind is kept (ms) and in which spans it is renewed (us), and per payment: time, size of what the
-- marker keeps, and per kind of log: false if there is no key, else size of the entry, position,
-- length; all that has a size, in this order; owner; for how long markers are kept (ms)
-- the reply: newest and now, the first of their arrivals; of those that are not added, the arrival
-- (0: too late); of logs that others have written: payment, place, length, entries
-- numbers in commands are texts where they can be: Redis writes others as real ones, of 17 digits
local call, cut, keys, events, owner, kept = redis.call, string.sub, KEYS, ARGV[3], ARGV[4], ARGV[5]
local count, kinds, lives, renewed, read, at, from = sent[3], sent[4], {}, {}, 5, 2, 1
local first, before = math.max(now, last + 1), newest
last = first + count - 1
-- the first entry of a log in a span of time renews it: so it is kept from each of its entries on
for kind = 1, kinds do
  lives[kind], renewed[kind] = sent[read], last - last % sent[read + 1]
  read = read + 2
end
local since = head[4] == owner and tonumber(head[5]) or first
if not (since < first) then
  since = first
  call('HSET', keys[1], 'writer', owner, 'since', whole(since))
end
local others, news, touched, lost = {}, {}, {}, false
local function tell(number, place, length, entries)
  local told = #news
  news[told + 1], news[told + 2], news[told + 3], news[told + 4] = number, place, length, entries
end
-- what others have added to a log before the entry that was added now
local function follow(number, place, log, position, known, length, fresh)
  local more, entries, gone = length - 1 - known
  if length == 1 and position < 0 then return end
  if known > 0 and more == 0 then
    if arrived(call('LINDEX', log, '-2')) == position then return end
  elseif known > 0 and more > 0 then
    entries = call('LRANGE', log, -2 - more, '-2')
    if arrived(entries[1]) ~= position then entries = nil end
  end
  if not entries then entries, gone = unseen(log, position, '-2') end
  lost = lost or gone and position >= fresh
  tell(number, place, length, entries)
end
for number = 1, count do
  local arrival, marker, time, size = first + number - 1, keys[at], sent[read], sent[read + 1]
  local prefix, fits, place = struct.pack('>I8', arrival), time >= newest - late, 0
  local held = prefix .. owner .. cut(events, from, from + size - 1)
  at, read, from = at + 1, read + 2, from + size
  if fits and call('SET', marker, held, 'NX', 'PX', kept) then
    newest, prefix = math.max(newest, math.min(time, now)), prefix .. 'p'
  else
    arrival, prefix = marked(marker), nil
    if fits and not arrival then error('this is no marker') end
    others[#others + 1], others[#others + 2] = number, arrival or 0
  end
  for kind = 1, kinds do
    local size = sent[read]
    if size then
      local log, position, known = keys[at], sent[read + 1], sent[read + 2]
      at, read, place = at + 1, read + 3, place + 1
      if prefix then
        local length = call('RPUSH', log, prefix .. cut(events, from, from + size - 1))
        if position < renewed[kind] then expire(log, lives[kind], arrival) end
        if not touched[log] and (position < since or length ~= known + 1) then
          -- what is younger than nine tenths of a log's life is in it
          follow(number, place, log, position, known, length, arrival - lives[kind] * 900)
        end
        touched[log] = true
      elseif arrival then
        tell(number, place, 0, (unseen(log, -1, '-1')))
      end
      from = from + size
    else
      read = read + 1
    end
  end
end
if lost then return redis.error_reply('LOST') end
call('HSET', keys[1], 'last', whole(last), 'newest', whole(newest))
return {before, now, first, others, news}
"""
)

READ: Final = (
    _STATE
    + _UNSEEN
    + """
-- KEYS: head, logs; ARGV: epoch, and per log: position
local logs = {}
for at = 2, #KEYS do logs[at - 1] = (unseen(KEYS[at], tonumber(ARGV[at]), '-1')) end
return {last, logs}
"""
)

LATER: Final = (
    _STATE
    + _MARKED
    + _APPEND
    + """
-- KEYS: head, marker, logs; ARGV: epoch, owner, kind, value, tag, rank, arrived (0: now), token,
-- and per log: kept, event
if redis.call('TYPE', KEYS[2]).ok == 'string' then
  local first, owner, event = marked(KEYS[2])
  local left = redis.call('PTTL', KEYS[2])
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[2], 'a', first, 'o', owner, 'e', event)
  if left > 0 then redis.call('PEXPIRE', KEYS[2], left) end
end
if redis.call('HEXISTS', KEYS[2], 'a') == 0 then return 0 end
local kind, text, tag, name = ARGV[3], ARGV[4], ARGV[5], ARGV[8]
local rank, word, token = tonumber(ARGV[6]), tonumber(ARGV[7]), 'l:' .. name
local said = redis.call('HGET', KEYS[2], kind)
-- below zero: another result stands
if said and kind == 'result' then
  return string.sub(said, 10) == text and arrived(said) or -arrived(said)
end
local told = name ~= '' and redis.call('HGET', KEYS[2], token)
if told then return tonumber(told) end
local arrival, prefix = arrive(ARGV[2])
if word == 0 then word = arrival end
if name ~= '' then redis.call('HSET', KEYS[2], token, whole(word)) end
if said then
  local before = string.byte(said, 9)
  if before < rank or (before == rank and arrived(said) > word) then return word end
end
redis.call('HSET', KEYS[2], kind, struct.pack('>I8B', word, rank) .. text)
local function value(held) return held and string.sub(held, 10) or '\\192' end
if said and not string.find(value(said), '^[\\194\\195]$') then error('this is no label') end
if said and value(said) == text then return word end
local known = redis.call('HMGET', KEYS[2], 'result', 'label')
local begin = prefix .. (said and 'c\\148' or tag .. '\\147') .. value(known[1]) .. value(known[2])
for at = 3, #KEYS do
  local entry = begin .. ARGV[at * 2 + 4] .. (said and value(said) or '')
  append(KEYS[at], entry, ARGV[at * 2 + 3], arrival)
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
local arrival, prefix = arrive(owner)
for at = 3, #KEYS do
  append(KEYS[at], prefix .. ARGV[at * 2 - 2], ARGV[at * 2 - 3], arrival)
end
return 1
"""
)

HEARTBEAT: Final = (
    _WHOLE
    + """
-- KEYS: head, roll; ARGV: epoch, seen and lateness, member, clear, kept, others
local number = redis.call('HINCRBY', KEYS[2], '', 1)
redis.call('HSET', KEYS[2], ARGV[3], ARGV[4] == '1' and number or -number)
for at = 6, #ARGV do redis.call('HSETNX', KEYS[2], ARGV[at], 0) end
redis.call('PEXPIRE', KEYS[2], ARGV[5])
return redis.call('HGETALL', KEYS[2])
"""
)

TRIM: Final = """
-- KEYS: head, log; ARGV: owner, upto, snapshot
local log, upto, left = KEYS[2], tonumber(ARGV[2]), redis.call('PTTL', KEYS[2])
local entries, old = redis.call('LRANGE', log, 0, -1), 0
if not entries[1] or struct.unpack('>I8', entries[1]) >= upto then return 0 end
while entries[old + 1] and struct.unpack('>I8', entries[old + 1]) <= upto do old = old + 1 end
redis.call('LTRIM', log, old, -1)
redis.call('LPUSH', log, ARGV[3])
if left > 0 then redis.call('PEXPIRE', log, left) end
if redis.call('HGET', KEYS[1], 'writer') ~= ARGV[1] then redis.call('HDEL', KEYS[1], 'writer') end
return 1
"""

SCRIPTS: Final = {
    # Redis names a script by this hash; nothing is secured by it
    script: sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (
        *(OBSERVE, READ, RECALL, LATER, FORGET, HEARTBEAT, TRIM),
        *fill_scripts.SCRIPTS,
    )
}
