-- May this action be taken? KEYS: frozen, open, record, seen, a log for each scope, a freeze for each budget.
local frozen_key, open_key, record_key, seen_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local mode, given_now, id, cost, lease = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local tracked, kind, under, after, person_from = ARGV[6] == '1', ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local age, log_count, budget_count = tonumber(ARGV[11]), tonumber(ARGV[12]), tonumber(ARGV[13])
local at = 13
local logs, budgets = {}, {}
for i = 1, log_count do logs[i] = { key = KEYS[4 + i], keep = tonumber(ARGV[at + i]) } end
at = at + log_count
for i = 1, budget_count do
  budgets[i] = {
    key = KEYS[4 + log_count + i], log = logs[tonumber(ARGV[at + 1]) + 1],
    of = tonumber(ARGV[at + 2]), per = tonumber(ARGV[at + 3]), freeze = ARGV[at + 4],
  }
  at = at + 4
end

-- Read. A clock that is behind what is written is not believed.
local real = clock(given_now)
local now = real
for _, log in ipairs(logs) do
  local newest = redis.call('ZREVRANGE', log.key, 0, 0, 'WITHSCORES')
  if newest[2] then now = math.max(now, tonumber(newest[2])) end
end
local frost = redis.call('HMGET', frozen_key, 'since', 'reason', 'turn')
local turn = frost[3] or '0'
local is_given = redis.call('ZSCORE', open_key, id)
if logs[1] then is_given = redis.call('ZSCORE', logs[1].key, id .. ':1') or is_given end
local record = tracked and record_of(record_key) or {}
local seen = 0
if person_from ~= '' then
  local last = redis.call('ZREVRANGE', seen_key, 0, 0, 'WITHSCORES')
  local by = math.max(now, tonumber(last[2] or 0))
  seen = redis.call('ZCOUNT', seen_key, '(' .. show(by - 86400000), '+inf')
end
for _, budget in ipairs(budgets) do
  budget.used = redis.call('ZCOUNT', budget.log.key, '(' .. show(now - budget.per), '+inf')
  if budget.freeze ~= 'c' then
    local of, since, ends = string.match(redis.call('GET', budget.key) or '', '^(%d+):(%d+):(%d*)$')
    if of == turn and (ends == '' or tonumber(ends) > now) then
      budget.since, budget.ends = tonumber(since), ends
    end
  end
end
-- Milliseconds until so many more units fit.
local function wait_for(budget, more)
  local must_leave = budget.used + more - budget.of
  if must_leave <= 0 then return 0 end
  local gone = redis.call('ZCARD', budget.log.key) - budget.used
  local entry = redis.call('ZRANGE', budget.log.key, gone + must_leave - 1, gone + must_leave - 1, 'WITHSCORES')
  return entry[2] and math.max(0, tonumber(entry[2]) + budget.per - now) or budget.per
end

if mode == 'look' then
  local open = redis.call('ZCOUNT', open_key, '(' .. show(now), '+inf')
  local view = { 'seen', show(now), frost[1] or '', frost[2] or '', open }
  for _, budget in ipairs(budgets) do
    view[#view + 1] = budget.used
    view[#view + 1] = show(wait_for(budget, 1))
    view[#view + 1] = budget.since and show(budget.since) or ''
    view[#view + 1] = budget.ends or ''
  end
  return view
end

local function granted(more)
  local answer = { 'granted', show(now) }
  for _, budget in ipairs(budgets) do answer[#answer + 1] = budget.used + more end
  return answer
end
if is_given then return granted(0) end

if mode == 'decide' then
  if frost[1] then return { 'frozen', show(now), frost[1], frost[2] or '' } end
  if person_from ~= '' and seen >= tonumber(person_from) then return { 'person', show(now), seen } end
  if tracked and under ~= '' then
    local good, tried = figures(record, kind, now)
    if tried >= tonumber(after) and good < tonumber(under) * tried then return { 'futile', show(now), good, tried } end
  end
  for i, budget in ipairs(budgets) do
    if budget.used + cost > budget.of then
      local wait = show(wait_for(budget, cost))
      if budget.ends == '' then wait = '' end
      if budget.ends and budget.ends ~= '' then wait = show(math.max(tonumber(wait), tonumber(budget.ends) - now)) end
      return { 'over', show(now), i - 1, budget.used, wait }
    end
  end
  for i, budget in ipairs(budgets) do
    if budget.since then return { 'cold', show(now), i - 1, show(budget.since), budget.ends } end
  end
end

-- Write. What is owed was given at another time, but counts all the same.
local stamp = math.max(0, now - age)
local ahead = now - real
for _, log in ipairs(logs) do
  -- The first write is one that a full server refuses: after any other it would let the rest of a script through.
  for unit = 1, cost do redis.call('ZADD', log.key, show(stamp), id .. ':' .. unit) end
  redis.call('ZREMRANGEBYSCORE', log.key, '-inf', show(now - log.keep))
  live_at_least(log.key, log.keep + ahead)
end
for _, budget in ipairs(budgets) do
  if budget.freeze ~= 'c' and budget.used + cost >= budget.of then
    if budget.freeze == 't' then
      redis.call('SET', budget.key, turn .. ':' .. show(now) .. ':')
    else
      local span = tonumber(budget.freeze)
      redis.call('SET', budget.key, turn .. ':' .. show(now) .. ':' .. show(now + span), 'PX', show(span + ahead + SLACK))
    end
  end
end
redis.call('ZADD', open_key, show(stamp + lease), id)
redis.call('ZREMRANGEBYSCORE', open_key, '-inf', show(now))
live_at_least(open_key, lease + ahead)
if tracked then
  for _, late in ipairs(late_leases(record, now)) do
    redis.call('HDEL', record_key, 'l:' .. late.id)
    add_outcome(record_key, late.kind, 'f', late.stamp, late.id)
  end
  redis.call('HSET', record_key, 'l:' .. id, show(stamp + lease) .. ':' .. kind)
  live_at_least(record_key, KEEP)
end
return granted(cost)
