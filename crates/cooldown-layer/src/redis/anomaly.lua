-- How often did it come? KEYS: seen, notes. ARGV: time, `record`, `read` or `fix`, id or text, the most to keep, and for
-- how long a fix is shown.
local seen, notes, mode, most, fix = KEYS[1], KEYS[2], ARGV[2], tonumber(ARGV[4]), tonumber(ARGV[5])
local now = clock(ARGV[1])
local last = redis.call('ZREVRANGE', seen, 0, 0, 'WITHSCORES')
if last[2] then now = math.max(now, tonumber(last[2])) end
local note = redis.call('HMGET', notes, 'first', 'fixed', 'what')
if mode == 'fix' then
  redis.call('HSET', notes, 'fixed', show(now), 'what', ARGV[3])
  live_at_least(notes, fix)
  return { 'done' }
end
local function after(span) return redis.call('ZCOUNT', seen, '(' .. show(now - span), '+inf') end
local alive = after(KEEP)
local first = tonumber(alive > 0 and note[1] or now)
if mode == 'record' and not redis.call('ZSCORE', seen, ARGV[3]) then
  -- First what a full server refuses, so that it refuses all.
  redis.call('ZADD', seen, show(now), ARGV[3])
  redis.call('ZREMRANGEBYSCORE', seen, '-inf', show(now - KEEP))
  local excess = redis.call('ZCARD', seen) - most
  if excess > 0 then redis.call('ZREMRANGEBYRANK', seen, 0, excess - 1) end
  redis.call('HSET', notes, 'first', show(first))
  live_at_least(seen, KEEP)
  live_at_least(notes, KEEP)
  alive, last = alive + 1, { ARGV[3], show(now) }
end
local fixed = note[2] and tonumber(note[2]) + fix > now
return {
  'counts', after(3600000), after(86400000), after(604800000), after(2592000000),
  alive > 0 and show(first) or '', alive > 0 and last[2] or '',
  fixed and note[2] or '', fixed and note[3] or '',
  redis.call('ZCARD', seen) >= most and 1 or 0,
}
