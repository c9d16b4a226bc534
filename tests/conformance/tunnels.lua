-- FOU and GUE for tshark, which knows neither, and remote checksum offload as a receiver does it:
-- the checksum is completed before the inner packet is looked at.

local IPIP, IPV6, GRE = 4, 41, 47
local protocols = DissectorTable.get("ip.proto")

local function number(bytes, at)
  return bytes:get_index(at) * 256 + bytes:get_index(at + 1)
end

-- Sum everything from `start` on and store the complement at `field`.
local function complete(buffer, start, field)
  local bytes, total = buffer:bytes(), 0
  local size = bytes:len()
  for at = start, size - 2, 2 do
    total = total + number(bytes, at)
  end
  if (size - start) % 2 == 1 then
    total = total + bytes:get_index(size - 1) * 256
  end
  while total > 65535 do
    total = total % 65536 + math.floor(total / 65536)
  end
  total = 65535 - total
  bytes:set_index(field, math.floor(total / 256))
  bytes:set_index(field + 1, total % 256)
  return bytes:tvb("completed")
end

local function hand_over(protocol, buffer, packet, tree)
  protocols:get_dissector(protocol):call(buffer, packet, tree)
end

local function by_nibble(buffer, packet, tree)
  local version = math.floor(buffer(0, 1):uint() / 16)
  hand_over(version == 4 and IPIP or IPV6, buffer, packet, tree)
end

local gue = Proto("gue", "Generic UDP Encapsulation")
function gue.dissector(buffer, packet, tree)
  local first = buffer(0, 1):uint()
  tree:add(gue, buffer(0))
  if first >= 64 then
    return by_nibble(buffer(0):tvb(), packet, tree)
  end
  local size = 4 + 4 * (first % 32)
  local inner = buffer(size):tvb()
  if buffer(2, 2):uint() == 1 and buffer(4, 4):uint() == 0x80000000 then
    inner = complete(inner, buffer(8, 2):uint(), buffer(10, 2):uint())
  end
  hand_over(buffer(1, 1):uint(), inner, packet, tree)
end

local fou = Proto("fou", "Foo over UDP")
function fou.dissector(buffer, packet, tree)
  tree:add(fou, buffer(0))
  by_nibble(buffer(0):tvb(), packet, tree)
end

local fougre = Proto("fougre", "GRE over UDP")
function fougre.dissector(buffer, packet, tree)
  tree:add(fougre, buffer(0))
  hand_over(GRE, buffer(0):tvb(), packet, tree)
end

-- draft-herbert-vxlan-rco: start in units of two bytes, and which of the two protocols it is.
local vxlan = Proto("vxlanrco", "VXLAN with remote checksum offload")
function vxlan.dissector(buffer, packet, tree)
  tree:add(vxlan, buffer(0, 8))
  local inner = buffer(8):tvb()
  if buffer(0, 4):uint() == 0x08200000 then
    local data = buffer(7, 1):uint()
    local start = data % 128 * 2
    inner = complete(inner, start, start + (data >= 128 and 6 or 16))
  end
  Dissector.get("eth_withoutfcs"):call(inner, packet, tree)
end

local ports = DissectorTable.get("udp.port")
for _, port in ipairs({ 5501, 6080 }) do
  ports:add(port, gue)
end
for _, port in ipairs({ 5555, 5556, 5558 }) do
  ports:add(port, fou)
end
ports:add(5557, fougre)
if os.getenv("VXLAN_RCO") then
  ports:set(4789, vxlan)
end
