"""The Lua that runs inside Redis (6.2 and 7): it checks, and does what was computed outside.

The arithmetic of commits stands once, in `service.adapters.commits`. A script only makes sure that what was
computed still holds, and then runs the commands that it was given; so each is small, and its time is that of
its commands, of which callers send a quarter of a mebibyte at a time. Every key is declared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

Word = str | bytes | int
Command = tuple[Word, ...]


class Script:
    """A script and the digest that Redis keeps it under."""

    def __init__(self, source: str) -> None:
        self.source: Final = source
        # Redis names scripts so; nothing is protected by it.
        self.digest: Final = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()

    def call(self, keys: Sequence[Word], arguments: Iterable[Word]) -> Command:
        """Return the command that runs the script."""
        return ("EVALSHA", self.digest, len(keys), *keys, *arguments)


_VIEW = """
-- Whether the records still stand where the caller (ARGV: body, edits, holes) knows them to; what changed of
-- the dataset since its revision; where its records end. A snapshot gives no revision, but its own end:
-- nothing may have been edited, but it may read what was replaced meanwhile.
local function look()
  local now = redis.call('HMGET', KEYS[1], 'body', 'edits', 'revision', 'next_position', 'count')
  local same = now[1] == ARGV[1]
  if ARGV[4] == '' then
    same = same and now[2] == ARGV[2]
    if not same then
      local retired = redis.call('HGET', KEYS[2], ARGV[1])
      same = retired and string.match(retired, '^%d+') == ARGV[2]
    end
    return same, false, tonumber(ARGV[5])
  end
  same = same and (ARGV[3] == '' or now[4] - now[5] == tonumber(ARGV[3]))
  local news = (not same or now[3] ~= ARGV[4]) and redis.call('HGETALL', KEYS[1])
  return same, news, tonumber(now[4])
end
"""

READ: Final = Script(
    _VIEW
    + """
-- Reads records until `limit` or `most` bytes; a hole is an empty string. Answers 0 where the records stand
-- elsewhere now, 2 where Redis has lost some. KEYS: meta, retired, buckets. ARGV: see above, first position,
-- limit, most, the first position of each bucket.
local same, news, stop = look()
if not same then return {0, news} end
local from, limit, most = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local rows, live, size = {}, 0, 0
for number = 3, #KEYS do
  local base = tonumber(ARGV[number + 6])
  local at, last, step = math.max(base, from), math.min(base + 255, stop - 1), 1
  while at <= last and live < limit and size < most do
    -- In growing steps: a bucket of large records is not read to give one.
    local upto = math.min(at + step - 1, last)
    local part = redis.call('LRANGE', KEYS[number], at - base, upto - base)
    if #part ~= upto - at + 1 then return {2, news} end
    for _, row in ipairs(part) do
      if live == limit or size >= most then break end
      rows[#rows + 1] = row
      if row ~= '' then live, size = live + 1, size + #row end
    end
    at, step = at + step, math.min(step * 2, 16)
  end
end
return {1, news, rows}
"""
)

FIND: Final = Script(
    _VIEW
    + """
-- Finds a rank or a position where there are holes: the byte of the bitmap that it falls into, how many live
-- records stand before that byte, and the bitmap from there. KEYS: meta, retired, holes (a bit for each
-- position that is gone), groups (how many are gone in each 65,536). ARGV: see above, 'rank' or 'position',
-- the number, how many bytes to give.
local same, news, stop = look()
if not same then return {0, news} end
local gone = {}
local counts = redis.call('HGETALL', KEYS[4])
for i = 1, #counts, 2 do gone[tonumber(counts[i])] = tonumber(counts[i + 1]) end
local number, byte, before = tonumber(ARGV[7]), 0, 0
if ARGV[6] == 'rank' then
  local group = 0
  while (group + 1) * 65536 < stop do
    local live = 65536 - (gone[group] or 0)
    if before + live > number then break end
    group, before = group + 1, before + live
  end
  byte = group * 8192
  local high = byte + 8191
  while byte < high do
    local middle = math.floor((byte + high) / 2)
    local live = (middle - byte + 1) * 8 - redis.call('BITCOUNT', KEYS[3], byte, middle)
    if before + live > number then high = middle else byte, before = middle + 1, before + live end
  end
else
  number = math.min(number, stop)
  byte = math.floor(number / 8)
  local group = math.floor(number / 65536)
  before = byte * 8
  for each, count in pairs(gone) do if each < group then before = before - count end end
  if byte > group * 8192 then
    before = before - redis.call('BITCOUNT', KEYS[3], group * 8192, byte - 1)
  end
end
return {1, news, byte, before, redis.call('GETRANGE', KEYS[3], byte, byte + ARGV[8] - 1)}
"""
)

APPLY: Final = Script("""
-- Runs commands if nothing stands against it. KEYS: meta, lease, idempotency, fence, and all that the
-- commands touch. ARGV: now in ms; the lease's token ('' where nobody may hold it, '*' where that does not
-- matter); revision and extent of staging that there must be (or twice ''); field and value of the fence (or
-- twice ''); and the commands, each as its length and its words.
local kept = redis.call('HMGET', KEYS[3], 'expires_ms', 'commit')
if kept[1] and tonumber(kept[1]) > tonumber(ARGV[1]) then return {'known', kept[2]} end
if ARGV[2] ~= '*' and (redis.call('GET', KEYS[2]) or '') ~= ARGV[2] then return {'leased'} end
if ARGV[5] ~= '' and (redis.call('HGET', KEYS[4], ARGV[5]) or '') ~= ARGV[6] then return {'fenced'} end
if ARGV[3] ~= '' then
  local now = redis.call('HMGET', KEYS[1], 'revision', 'staged')
  if (now[1] or '0') ~= ARGV[3] or (now[2] or '0') ~= ARGV[4] then
    return {'stale', redis.call('HGETALL', KEYS[1])}
  end
end
local at = 7
while at <= #ARGV do
  local last = at + tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, last))
  at = last + 1
end
return {'done'}
""")

LITTER: Final = Script("""
-- Notes that there may be something to sweep. KEYS: notes. ARGV: now in ms, name.
-- First a command that takes no memory: Redis then runs the other, too, where its memory is full, and it must
-- not be too full to delete.
redis.call('ZREM', KEYS[1], '')
return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
""")

WRITE_DOCUMENT: Final = Script("""
-- Creates ('0'), changes (a version) or removes (no body; '' for any version) a document: returns its new
-- version, or 0 where it is not as expected. 'expired' removes what is expired only. KEYS: document, index,
-- expiry. ARGV: what is expected, now in ms, id, tag, when it expires in ms ('' for never), body.
local kept = redis.call('HMGET', KEYS[1], 'version', 'tag', 'expires_ms')
local expired = kept[3] and (tonumber(kept[3]) or math.huge) <= tonumber(ARGV[2])
local version = kept[1] and not expired and kept[1] or '0'
if ARGV[1] == 'expired' then
  if not expired then return 0 end
elseif ARGV[1] == '' then
  if version == '0' then return 0 end
elseif version ~= ARGV[1] then return 0 end
local known = {'i\\0' .. ARGV[3], 't' .. (kept[2] or '') .. '\\0' .. ARGV[3]}
if not ARGV[6] then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], unpack(known))
  redis.call('ZREM', KEYS[3], ARGV[3])
  return 1
end
version = version + 1
redis.call('HSET', KEYS[1], 'version', version, 'tag', ARGV[4], 'body', ARGV[6], 'expires_ms', ARGV[5])
if kept[2] ~= ARGV[4] then
  if kept[2] then redis.call('ZREM', KEYS[2], known[2]) end
  redis.call('ZADD', KEYS[2], 0, known[1], 0, 't' .. ARGV[4] .. '\\0' .. ARGV[3])
end
if ARGV[5] ~= '' then
  redis.call('ZADD', KEYS[3], ARGV[5], ARGV[3])
elseif kept[3] and kept[3] ~= '' then
  redis.call('ZREM', KEYS[3], ARGV[3])
end
return version
""")

COUNT: Final = Script("""
-- Adds to counters. KEYS: document, index. ARGV: id, and the name and amount of each.
for i = 2, #ARGV, 2 do redis.call('HINCRBY', KEYS[1], '+' .. ARGV[i], ARGV[i + 1]) end
redis.call('HINCRBY', KEYS[1], 'version', 1)
redis.call('ZADD', KEYS[2], 0, 'i\\0' .. ARGV[1], 0, 't\\0' .. ARGV[1])
return 1
""")

RESTORE_DOCUMENT: Final = Script("""
-- Stores a document as it is elsewhere. KEYS: document, index, expiry. ARGV: id, tag, when it expires in ms
-- ('' for never), and its fields and values.
local tag = redis.call('HGET', KEYS[1], 'tag') or ''
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], 't' .. tag .. '\0' .. ARGV[1])
for i = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
redis.call('ZADD', KEYS[2], 0, 'i\0' .. ARGV[1], 0, 't' .. ARGV[2] .. '\0' .. ARGV[1])
if ARGV[3] == '' then
  redis.call('ZREM', KEYS[3], ARGV[1])
else
  redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
end
return 1
""")

SOURCES: Final = {
    script.digest: script.source
    for script in (READ, FIND, APPLY, LITTER, WRITE_DOCUMENT, COUNT, RESTORE_DOCUMENT)
}
"""What to send where a server does not know a digest (yet, or any more)."""
