"""What Redis does atomically, in Lua, while a state is filled, begun and dropped: see `scripts`."""

from __future__ import annotations

from typing import Final

from shroff.clock import MAX_AHEAD_US

TIME: Final = """
local now = redis.call('TIME')
now = now[1] * 1000000 + now[2]
-- how far the newest event time may be ahead of a clock before that was set back
local function ahead(lateness) return math.min(MAX_AHEAD_US, tonumber(lateness)) end
""".replace("MAX_AHEAD_US", str(MAX_AHEAD_US))

CLAIM: Final = (
    TIME
    + """
-- KEYS: head, claim; ARGV: token, held, whether only a missing state is claimed
-- what no process of ours has put there is neither waited for nor read
local lives = redis.call('PTTL', KEYS[2])
if lives == -1 or lives > tonumber(ARGV[2]) then redis.call('DEL', KEYS[2]) end
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then redis.call('DEL', KEYS[1]) end
-- another process may have filled it since this one looked
if ARGV[3] == '1' and redis.call('HEXISTS', KEYS[1], 'epoch') == 1 then return 0 end
if not redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 0 end
local last = redis.call('HGET', KEYS[1], 'last')
if not last or not string.find(last, '^%d+$') or #last > 16 then last = 0 end
local arrival = math.max(now, last + 1)
redis.call('HSET', KEYS[1], 'last', arrival)
return arrival
"""
)

HOLD: Final = """
-- KEYS: claim; ARGV: token, held
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
"""

OPEN: Final = (
    TIME
    + """
-- KEYS: head, claim; ARGV: token, epoch, newest, mark, lateness
if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
local newest = math.min(tonumber(ARGV[3]), now + ahead(ARGV[5]))
local sum = redis.sha1hex(ARGV[2] .. ' ' .. ARGV[4])
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'newest', newest, 'mark', ARGV[4], 'sum', sum)
redis.call('HDEL', KEYS[1], 'writer')
redis.call('DEL', KEYS[2])
return 1
"""
)

DROP: Final = """
-- KEYS: head, claim, roll; ARGV: epoch
local kind = redis.call('TYPE', KEYS[1]).ok
-- dropped already, and perhaps being filled
if kind == 'none' or kind == 'hash' and redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
"""

SWEEP: Final = """
-- KEYS: head, claim, keys of other fillings; ARGV: epoch
-- a filling has keys from its claim on, so where there is no claim these are of dead ones
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] or redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
return redis.call('UNLINK', unpack(KEYS, 3))
"""

SCRIPTS: Final = CLAIM, HOLD, OPEN, DROP, SWEEP
