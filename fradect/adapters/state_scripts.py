"""The steps that Redis runs whole. Every one of them first makes sure that the scope is kept as its caller believes.

A scope's hash: `gen` (whose keys count), `digest` (of the layout), `last`, `newest`, `confirmed`, `log`, and `busy`
(milliseconds since the epoch) while it is being rebuilt. Numbers and times stay below 2^53, so Lua's are exact.
"""

_GUARD = """
local scope = redis.call('HMGET', KEYS[1], 'gen', 'digest', 'busy', 'newest', 'confirmed', 'last')
if scope[3] then
  local now = redis.call('TIME')
  if tonumber(now[1]) * 1000 < tonumber(scope[3]) then return {'busy'} end
end
if scope[1] ~= ARGV[1] or scope[2] ~= ARGV[2] then return {'moved'} end
"""

_TAKE_OUT = """
local function take_out(key, number, wide)
  local rows = redis.call('GET', key) or ''
  local left = rows
  for at = #rows - wide, 0, -wide do
    if string.sub(rows, at + 9, at + 16) == number then
      left = string.sub(left, 1, at) .. string.sub(left, at + wide + 1)
    end
  end
  if left == '' then redis.call('DEL', key) elseif left ~= rows then redis.call('SET', key, left, 'KEEPTTL') end
end
"""

# KEYS: scope, marker, waiting, then those to append to, then those that are only read. ARGV: gen, digest, number or '',
# event time as text and as bytes, fingerprint, what waits, time to live of a marker and of a key, how many to append
# to, whether to read them all or '', their rows without time and number. A new event's answer: number, time, newest
# time, confirmed number, what was read, and the lengths that keys have been appended to.
ARRIVE = (
    _GUARD
    + """
local many = tonumber(ARGV[10])
local reads = ARGV[11] ~= '' and #KEYS > 3
local seen = {}
local known = redis.call('GET', KEYS[2])
if known then
  if #known > 24 and string.sub(known, 25) ~= ARGV[6] then return {'other'} end
  local seq, time, newest = struct.unpack('<i8i8i8', known)
  if reads then seen = redis.call('MGET', unpack(KEYS, 4)) end
  return {'known', seq, time, newest, tonumber(scope[5]), seen}
end
local seq
if ARGV[3] == '' then
  seq = redis.call('HINCRBY', KEYS[1], 'last', 1)
else
  seq = tonumber(ARGV[3])
  if seq > tonumber(scope[6]) then redis.call('HSET', KEYS[1], 'last', ARGV[3]) end
end
local time, newest = tonumber(ARGV[4]), tonumber(scope[4])
if time > newest then
  newest = time
  redis.call('HSET', KEYS[1], 'newest', ARGV[4])
end
local lengths = {}
local number = struct.pack('<i8', seq)
redis.call('SET', KEYS[2], number .. ARGV[5] .. struct.pack('<i8', newest) .. ARGV[6], 'PX', ARGV[8])
if ARGV[3] == '' then
  local now = redis.call('TIME')
  local since = struct.pack('<i8', tonumber(now[1]) * 1000000 + tonumber(now[2]))
  redis.call('ZADD', KEYS[3], seq, since .. ARGV[7])
end
for i = 1, many do
  local key, row = KEYS[3 + i], ARGV[5] .. number .. ARGV[11 + i]
  if ARGV[3] == '' then
    lengths[i] = redis.call('APPEND', key, row)
  else
    local rows, wide = redis.call('GET', key) or '', #row
    local at = #rows
    while at > 0 and struct.unpack('<i8', rows, at - wide + 9) > seq do at = at - wide end
    redis.call('SET', key, string.sub(rows, 1, at) .. row .. string.sub(rows, at + 1))
  end
  redis.call('PEXPIRE', key, ARGV[9])
end
if reads then seen = redis.call('MGET', unpack(KEYS, 4)) end
return {'new', seq, time, newest, tonumber(scope[5]), seen, lengths}
"""
)

# KEYS: scope, marker, waiting, those to take rows from. ARGV: gen, digest, number, width of each one's rows.
WITHDRAW = (
    _GUARD
    + _TAKE_OUT
    + """
local number = struct.pack('<i8', tonumber(ARGV[3]))
local known = redis.call('GET', KEYS[2])
if not known or string.sub(known, 1, 8) ~= number then return {'gone'} end
if redis.call('ZREMRANGEBYSCORE', KEYS[3], ARGV[3], ARGV[3]) == 0 then return {'gone'} end
redis.call('DEL', KEYS[2])
for i = 4, #KEYS do
  take_out(KEYS[i], number, tonumber(ARGV[i]))
end
return {'done'}
"""
)

# KEYS: scope, marker, waiting, those to append to. ARGV: gen, digest, number or '', time to live of the marker and of a
# key, what waits, rows (under their number, if it is given). What comes with a number is stored: it waits no more, and
# if it was stored as something else than it was learnt as, what is stored counts. Answer: whether it was known, and the
# number. A marker of an older version has none, and gets it when it is asked for.
LEARN = (
    _GUARD
    + _TAKE_OUT
    + """
local given, known = tonumber(ARGV[3]), redis.call('GET', KEYS[2])
if known then
  local first = #known == 8 and struct.unpack('<i8', known) or 0
  if not given and first == 0 then
    first = redis.call('HINCRBY', KEYS[1], 'last', 1)
    redis.call('SET', KEYS[2], struct.pack('<i8', first), 'KEEPTTL')
  end
  if not given then return {'known', first} end
  if first == 0 or redis.call('ZREMRANGEBYSCORE', KEYS[3], first, first) == 0 then return {'known', given} end
  local same = true
  for i = 4, #KEYS do
    same = same and string.find(redis.call('GET', KEYS[i]) or '', ARGV[i + 3], 1, true)
  end
  if same then return {'known', given} end
  for i = 4, #KEYS do take_out(KEYS[i], known, 32) end
end
local seq = given or redis.call('HINCRBY', KEYS[1], 'last', 1)
local number = struct.pack('<i8', seq)
redis.call('SET', KEYS[2], number, 'PX', ARGV[4])
for i = 4, #KEYS do
  local rows = ARGV[i + 3]
  if not given then
    rows = ''
    for at = 1, #ARGV[i + 3], 32 do
      rows = rows .. string.sub(ARGV[i + 3], at, at + 7) .. number .. string.sub(ARGV[i + 3], at + 16, at + 31)
    end
  end
  redis.call('APPEND', KEYS[i], rows)
  redis.call('PEXPIRE', KEYS[i], ARGV[5])
end
if not given then
  local now = redis.call('TIME')
  local since = struct.pack('<i8', tonumber(now[1]) * 1000000 + tonumber(now[2]))
  redis.call('ZADD', KEYS[3], seq, since .. ARGV[6])
end
return {'new', seq}
"""
)

# KEYS: scope, waiting. ARGV: gen, digest, number, how many must wait up to it or ''.
CONFIRM = (
    _GUARD
    + """
if ARGV[4] ~= '' and redis.call('ZCOUNT', KEYS[2], '-inf', ARGV[3]) ~= tonumber(ARGV[4]) then return {'others'} end
if tonumber(ARGV[3]) > tonumber(scope[5]) then redis.call('HSET', KEYS[1], 'confirmed', ARGV[3]) end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3])
return {'done'}
"""
)

# KEYS: scope, parts of a key. ARGV: gen, digest, time to live, then of each part how long it was, the digest of that,
# whether it may have grown meanwhile, and what stands for it now.
SETTLE = (
    _GUARD
    + """
local found = redis.call('MGET', unpack(KEYS, 2))
for i = 1, #found do
  local at, now = 4 * i, found[i] or ''
  local long = tonumber(ARGV[at])
  if #now < long or (ARGV[at + 2] == '' and #now > long) then return {'changed'} end
  if redis.sha1hex(string.sub(now, 1, long)) ~= ARGV[at + 1] then return {'changed'} end
end
for i = 1, #found do
  local now = found[i] or ''
  local after = ARGV[4 * i + 3] .. string.sub(now, tonumber(ARGV[4 * i]) + 1)
  if after == '' then
    redis.call('DEL', KEYS[i + 1])
  elseif after ~= now then
    redis.call('SET', KEYS[i + 1], after, 'PX', ARGV[3])
  end
end
return {'done'}
"""
)

# KEYS: scope. ARGV: digest. Answers: generation, and whether it was kept so already.
ADOPT = """
local scope = redis.call('HMGET', KEYS[1], 'gen', 'digest', 'busy')
if scope[2] == ARGV[1] then return {'same', scope[1]} end
if scope[3] then
  local now = redis.call('TIME')
  if tonumber(now[1]) * 1000 < tonumber(scope[3]) then return {'busy'} end
end
local gen = redis.call('HINCRBY', KEYS[1], 'gens', 1)
redis.call('HSET', KEYS[1], 'gen', gen, 'digest', ARGV[1], 'newest', 0, 'confirmed', 0, 'log', -1, 'stale', 1)
redis.call('HSETNX', KEYS[1], 'last', 0)
return {'new', tostring(gen)}
"""

# KEYS: scope. ARGV: count, at least.
RESERVE = """
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
last = math.max(last, tonumber(ARGV[2])) + tonumber(ARGV[1])
redis.call('HSET', KEYS[1], 'last', string.format('%.0f', last))
return last
"""

# KEYS: scope. ARGV: whose, milliseconds. Takes the scope for a rebuild, or goes on having it.
TAKE = """
local scope = redis.call('HMGET', KEYS[1], 'busy', 'builder')
local now = redis.call('TIME')
local ms = tonumber(now[1]) * 1000 + math.floor(tonumber(now[2]) / 1000)
if scope[1] and ms < tonumber(scope[1]) and scope[2] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'busy', string.format('%.0f', ms + tonumber(ARGV[2])), 'builder', ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'gens', 1)
"""

# KEYS: scope. ARGV: whose, generation, digest, last, newest, confirmed, log; none of these to let go of it.
GIVE = """
if redis.call('HGET', KEYS[1], 'builder') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 'busy', 'builder')
redis.call('HSET', KEYS[1], 'stale', 1)
if ARGV[2] then
  local last = tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
  redis.call('HSET', KEYS[1], 'gen', ARGV[2], 'digest', ARGV[3], 'newest', ARGV[5], 'confirmed', ARGV[6],
    'log', ARGV[7], 'last', string.format('%.0f', math.max(last, tonumber(ARGV[4]))))
end
return 1
"""
