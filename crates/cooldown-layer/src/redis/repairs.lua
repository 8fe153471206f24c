-- What was tried, and did it help? KEYS: record. ARGV: time, and to add one: decision, kind, `s` or `f`.
local now = clock(ARGV[1])
local record = record_of(KEYS[1])
if ARGV[2] then
  add_outcome(KEYS[1], ARGV[3], ARGV[4], now, ARGV[2])
  return { 'done' }
end
local kinds, names = {}, {}
for field in pairs(record) do
  if string.sub(field, 1, 2) == 'o:' then kinds[string.sub(field, 3)] = true end
end
for _, lease in ipairs(late_leases(record, now)) do kinds[lease.kind] = true end
for kind in pairs(kinds) do names[#names + 1] = kind end
table.sort(names)
local answer = { 'repairs' }
for _, kind in ipairs(names) do
  local good, tried = figures(record, kind, now)
  if tried > 0 then
    answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = kind, good, tried
  end
end
return answer
