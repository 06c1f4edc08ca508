-- Stands before, between and behind the filters of the chain. The first witness gives the request the exact
-- header list of the recording, the last one does so for the response; each says which list it sees. Where the
-- recording of a body is cut, the far end loses `content-length`, so that what there is has an end on the wire;
-- where it has no `x-forwarded-proto`, the router gets one, since it finds no route without.
local ME, LAST = @ME@, @LAST@
local PACKED = "x-tamis-packed"

local function escape(s)
  return (s:gsub("[^%w:/._-]", function(c) return string.format("%%%02X", c:byte()) end))
end

local function unescape(s)
  return (s:gsub("%%(%x%x)", function(h) return string.char(tonumber(h, 16)) end))
end

local function show(headers)
  local fields = {}
  for name, value in pairs(headers) do
    fields[#fields + 1] = escape(name) .. "=" .. escape(value)
  end
  return table.concat(fields, "&")
end

local function restore(handle, headers)
  local packed, names = {}, {}
  for name, value in pairs(headers) do
    if name == PACKED then packed[#packed + 1] = value end
    names[#names + 1] = name
  end
  if #packed == 0 then return end
  local fields, pseudo = {}, {}
  for field in table.concat(packed):gmatch("[^&]+") do
    local name, value = field:match("^([^=]*)=(.*)$")
    if name then
      name = unescape(name)
      if name:sub(1, 1) == "!" then
        handle:streamInfo():dynamicMetadata():set("tamis", name:sub(2), true)
      else
        fields[#fields + 1] = { name, unescape(value) }
        pseudo[name] = true
      end
    end
  end
  for _, name in ipairs(names) do
    if name:sub(1, 1) ~= ":" or not pseudo[name] then headers:remove(name) end
  end
  for _, field in ipairs(fields) do
    if field[1]:sub(1, 1) == ":" then
      headers:replace(field[1], field[2])
    else
      headers:add(field[1], field[2])
    end
  end
end

local function marked(handle, mark)
  local marks = handle:streamInfo():dynamicMetadata():get("tamis")
  return marks and marks[mark]
end

function envoy_on_request(handle)
  local headers = handle:headers()
  if ME == 0 then restore(handle, headers) end
  local now = handle:timestampString(EnvoyTimestampResolution.MICROSECOND)
  handle:logInfo("tamis " .. ME .. " > " .. now .. " " .. show(headers))
  if ME == LAST and marked(handle, "cut-request") then headers:remove("content-length") end
  if ME == LAST and marked(handle, "no-proto") then headers:replace("x-forwarded-proto", "http") end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  if ME == LAST then restore(handle, headers) end
  handle:logInfo("tamis " .. ME .. " < 0 " .. show(headers))
  if ME == 0 and marked(handle, "cut-response") then headers:remove("content-length") end
end
