-- Dissect GUE (with remote checksum offload), FOU, and VXLAN on Linux's own port, in Wireshark and
-- tshark 3.6 and later. Ports are preferences: Edit, Preferences, Protocols, GUE / FOU / VXLAN_LINUX,
-- or tshark -o gue.ports:6080,5501. Where the program has a protocol of its own for GUE or FOU, that
-- of this file steps aside. A port that is named takes the place of what else the program has there.
--
-- GUE: draft-ietf-intarea-gue; the private flags are Linux's (include/net/gue.h).

local udp_port = DissectorTable.get("udp.port")
local ip_proto = DissectorTable.get("ip.proto")

local IPIP, IPV6 = 4, 41
local PRIVATE, REMCSUM = 0x0001, 0x80000000

-- nil where the program has a protocol of this name, which it need not list as a dissector.
local function new_proto(name, description)
    local made, proto = pcall(Proto, name, description)
    return made and proto or nil
end

-- "6080,6090-6092,5557=47" as a table: port to protocol number, or 0 where there is none.
local function ports_of(text)
    local ports = {}
    for part in text:gmatch("[^,%s]+") do
        local first, last, number = part:match("^(%d+)%-?(%d*)=?(%d*)$")
        first, last = tonumber(first), tonumber(last) or tonumber(first)
        for port = first or 1, math.min(last or 0, 65535) do
            ports[port] = tonumber(number) or 0
        end
    end
    return ports
end

-- Registers a dissector on the ports of a preference, in place of what the program has there.
local function follow_ports(proto, dissector)
    local ours = {}
    return function()
        for port in pairs(ours) do udp_port:remove(port, dissector) end
        ours = {}
        for port, number in pairs(ports_of(proto.prefs.ports)) do
            udp_port:add(port, dissector)
            ours[port] = number
        end
    end, function(port) return ours[port] end
end

local function inner(number, tvb, pinfo, tree)
    if tvb:len() > 0 and not ip_proto:try(number, tvb, pinfo, tree) then
        Dissector.get("data"):call(tvb, pinfo, tree)
    end
end

-- By the first four bits, as of FOU and of GUE version 1.
local function inner_ip(tvb, pinfo, tree)
    local version = tvb:len() > 0 and bit.rshift(tvb(0, 1):uint(), 4) or 0
    inner(version == 6 and IPV6 or version == 4 and IPIP or 255, tvb, pinfo, tree)
end

local gue = new_proto("gue", "Generic UDP Encapsulation")
if gue then
    gue.prefs.ports = Pref.string("UDP ports", "6080", "Ports of GUE, such as 6080,5501-5503")
    local f = {
        version = ProtoField.uint8("gue.version", "Version", base.DEC, nil, 0xc0),
        control = ProtoField.bool("gue.control", "Control message", 8, nil, 0x20),
        hlen = ProtoField.uint8("gue.hlen", "Length of options, in 4 bytes", base.DEC, nil, 0x1f),
        proto = ProtoField.uint8("gue.proto", "Protocol or control type"),
        flags = ProtoField.uint16("gue.flags", "Flags", base.HEX),
        private = ProtoField.uint32("gue.private_flags", "Private flags", base.HEX),
        remcsum = ProtoField.bool("gue.remcsum", "Remote checksum offload", 32, nil, REMCSUM),
        start = ProtoField.uint16("gue.remcsum.start", "Checksum starts at"),
        offset = ProtoField.uint16("gue.remcsum.offset", "Checksum is at"),
        options = ProtoField.bytes("gue.options", "Options"),
    }
    gue.fields = f
    local short = ProtoExpert.new("gue.short", "GUE header is cut short", expert.group.MALFORMED,
                                  expert.severity.ERROR)
    gue.experts = { short }

    -- The options that Linux knows, in their order: private flags, and remote checksum offload.
    local function add_options(tvb, flags, tree)
        local at = 0
        if bit.band(flags, PRIVATE) ~= 0 and tvb:len() >= 4 then
            tree:add(f.private, tvb(0, 4))
            tree:add(f.remcsum, tvb(0, 4))
            at = 4
            if tvb(0, 1):uint() >= 0x80 and tvb:len() >= 8 then
                tree:add(f.start, tvb(4, 2))
                tree:add(f.offset, tvb(6, 2))
                at = 8
            end
        end
        if at < tvb:len() then tree:add(f.options, tvb(at)) end
    end

    function gue.dissector(tvb, pinfo, tree)
        if tvb:len() < 1 then return 0 end
        pinfo.cols.protocol = "GUE"
        local first = tvb(0, 1):uint()
        if bit.rshift(first, 6) == 1 then
            tree:add(gue, tvb(0, 0), "Generic UDP Encapsulation, version 1: no header")
            inner_ip(tvb, pinfo, tree)
            return tvb:len()
        end
        local size = 4 + 4 * bit.band(first, 0x1f)
        local held = math.min(size, tvb:len())
        local sub = tree:add(gue, tvb(0, held))
        sub:add(f.version, tvb(0, 1))
        if bit.rshift(first, 6) ~= 0 then return tvb:len() end
        sub:add(f.control, tvb(0, 1))
        sub:add(f.hlen, tvb(0, 1))
        if held < size then
            sub:add_proto_expert_info(short)
            return tvb:len()
        end
        sub:add(f.proto, tvb(1, 1))
        sub:add(f.flags, tvb(2, 2))
        if size > 4 then add_options(tvb(4, size - 4):tvb(), tvb(2, 2):uint(), sub) end
        if size < tvb:len() then
            local rest = tvb(size):tvb()
            if bit.band(first, 0x20) ~= 0 then
                Dissector.get("data"):call(rest, pinfo, tree)
            else
                inner(tvb(1, 1):uint(), rest, pinfo, tree)
            end
        end
        return tvb:len()
    end

    local register = follow_ports(gue, gue)
    gue.prefs_changed = register
    register()
end

local fou = new_proto("fou", "Foo over UDP")
if fou then
    fou.prefs.ports = Pref.string("UDP ports", "",
        "Ports of FOU, such as 5555,5557=47: with a number, that IP protocol is inside, "
        .. "without one, IPv4 or IPv6")
    local register, protocol_on = follow_ports(fou, fou)

    function fou.dissector(tvb, pinfo, tree)
        pinfo.cols.protocol = "FOU"
        tree:add(fou, tvb(0, 0), "Foo over UDP: no header")
        local number = protocol_on(pinfo.dst_port) or 0
        if number ~= 0 then
            inner(number, tvb, pinfo, tree)
        else
            inner_ip(tvb, pinfo, tree)
        end
        return tvb:len()
    end

    fou.prefs_changed = register
    register()
end

local program_vxlan = udp_port:get_dissector(4789)  -- it is not listed by name
if program_vxlan then
    local vxlan = Proto("vxlan_linux", "VXLAN on Linux's port")
    vxlan.prefs.ports = Pref.string("UDP ports", "8472", "Ports of VXLAN beside 4789")
    local register = follow_ports(vxlan, program_vxlan)
    vxlan.prefs_changed = register
    register()
end
