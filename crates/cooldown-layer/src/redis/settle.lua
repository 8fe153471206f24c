-- These leases are over. KEYS: open and record of each. ARGV: time, then decision, outcome, and whether it has a record.
local now = clock(ARGV[1])
local ends = {}
for i = 1, #KEYS / 2 do
  local at = 3 * i - 1
  local settled = { open = KEYS[2 * i - 1], record = KEYS[2 * i], id = ARGV[at], mark = ARGV[at + 1] }
  redis.call('ZSCORE', settled.open, settled.id)
  if ARGV[at + 2] == '1' then settled.lease = redis.call('HGET', settled.record, 'l:' .. settled.id) end
  ends[i] = settled
end
for _, settled in ipairs(ends) do
  redis.call('ZREM', settled.open, settled.id)
  -- A lease that is not open any more has been settled, or has outlived its time and counted as failed.
  if settled.lease and redis.call('HDEL', settled.record, 'l:' .. settled.id) == 1 then
    local expires, kind = string.match(settled.lease, '^(%d+):(.*)$')
    if tonumber(expires) <= now then
      add_outcome(settled.record, kind, 'f', tonumber(expires), settled.id)
    elseif settled.mark ~= 'a' then
      add_outcome(settled.record, kind, settled.mark, now, settled.id)
    end
  end
end
return { 'done' }
