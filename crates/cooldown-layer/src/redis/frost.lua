-- Freeze or thaw. KEYS: frozen. ARGV: time, `freeze` or `thaw`, reason.
local now = clock(ARGV[1])
local since = redis.call('HGET', KEYS[1], 'since')
if ARGV[2] == 'freeze' then
  redis.call('HSET', KEYS[1], 'since', since or show(now), 'reason', ARGV[3])
else
  redis.call('HDEL', KEYS[1], 'since', 'reason')
  -- A budget's freeze holds for the turn in which it was made: all of them end at once, wherever they are.
  redis.call('HINCRBY', KEYS[1], 'turn', 1)
end
return { 'done' }
