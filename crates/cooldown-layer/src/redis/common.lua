-- Shared by every script. Keys are all in one slot; everything is read before anything is written, so that a key of a
-- wrong type stops a script before it has changed anything.
local KEEP = 3024000000
local REMEMBERED = 100
local function show(number) return string.format('%.0f', number) end
-- The server's time in milliseconds, unless a test brings its own.
local function clock(given)
  if given ~= '' then return tonumber(given) end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end
-- A key lives longer than anything in it counts: what the server takes for its end and what a script takes for now need
-- not agree to the millisecond.
local SLACK = 60000
local function live_at_least(key, milliseconds)
  milliseconds = milliseconds + SLACK
  if redis.call('PTTL', key) < milliseconds then redis.call('PEXPIRE', key, show(milliseconds)) end
end
-- A record is a hash: `o:kind` holds outcomes as `s1700000000000:id,f...`, oldest first, and `l:id` an open lease as
-- `expires:kind`.
local function record_of(key)
  local fields, record = redis.call('HGETALL', key), {}
  for i = 1, #fields, 2 do record[fields[i]] = fields[i + 1] end
  return record
end
local function outcomes(text)
  local list = {}
  for mark, stamp, id in string.gmatch(text or '', '([sf])(%d+):(%x+)') do
    list[#list + 1] = { mark = mark, stamp = tonumber(stamp), id = id }
  end
  return list
end
local function late_leases(record, now)
  local late = {}
  for field, value in pairs(record) do
    if string.sub(field, 1, 2) == 'l:' then
      local expires, kind = string.match(value, '^(%d+):(.*)$')
      if tonumber(expires) <= now then
        late[#late + 1] = { id = string.sub(field, 3), stamp = tonumber(expires), kind = kind }
      end
    end
  end
  table.sort(late, function(a, b) return a.stamp < b.stamp end)
  return late
end
-- Successes and tries of one kind; a lease that has outlived its time is a failure.
local function figures(record, kind, now)
  local marks = {}
  for _, outcome in ipairs(outcomes(record['o:' .. kind])) do
    if outcome.stamp + KEEP > now then marks[#marks + 1] = outcome.mark end
  end
  for _, lease in ipairs(late_leases(record, now)) do
    if lease.kind == kind then marks[#marks + 1] = 'f' end
  end
  local good, tried = 0, 0
  for i = math.max(1, #marks - REMEMBERED + 1), #marks do
    tried = tried + 1
    if marks[i] == 's' then good = good + 1 end
  end
  return good, tried
end
local function add_outcome(key, kind, mark, stamp, id)
  local list = outcomes(redis.call('HGET', key, 'o:' .. kind))
  for _, outcome in ipairs(list) do
    if outcome.id == id then return end
  end
  local at = #list + 1
  while at > 1 and list[at - 1].stamp > stamp do at = at - 1 end
  table.insert(list, at, { mark = mark, stamp = stamp, id = id })
  while #list > REMEMBERED do table.remove(list, 1) end
  local parts = {}
  for i, outcome in ipairs(list) do parts[i] = outcome.mark .. show(outcome.stamp) .. ':' .. outcome.id end
  redis.call('HSET', key, 'o:' .. kind, table.concat(parts, ','))
  live_at_least(key, KEEP)
end
