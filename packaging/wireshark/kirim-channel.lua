-- SPDX-License-Identifier: MIT
--
-- Dissects kirim's message channel, version 1, as docs/channel.md has it: every packet, frame and
-- field. What breaks a rule of that page, as far as one packet shows it, is marked as malformed.
--
--     wireshark -X lua_script:kirim-channel.lua        or copy it to a folder for plugins
--     tshark -X lua_script:kirim-channel.lua -d udp.port==7000,kirim_channel -r FILE
--
-- A channel is found by its first packets; one that was captured from its middle on by the
-- preference "UDP ports" or by "Decode As"; under DTLS by "Decode As" alone. Nothing is read beyond
-- what was captured; where a capture has cut a packet, that is said, and is no fault of the
-- packet's. For Wireshark 3.6 and later. Sources: docs/channel.md; Wireshark's Lua reference.

local channel = Proto("kirim_channel", "kirim channel")

local VERSION = 1
local MESSAGE_BYTES_MAX = 16 * 1024 * 1024
local MESSAGE_COST = 64
local STREAM_COUNT_MAX = 256
local RANGES_MAX = 63
local TEXT_BYTES_MAX = 256
local HELLO_BYTES_MIN = 256
local RESET_BYTES = 17
local NUMBER_END = 2 ^ 48 -- of packets; numbers of Lua are exact up to there

local HELLO, TOKEN, BEGIN, DATA, RESET, VERSIONS = 4, 5, 6, 7, 8, 9
local kinds = {
    [HELLO] = "HELLO", [TOKEN] = "TOKEN", [BEGIN] = "BEGIN", [DATA] = "DATA", [RESET] = "RESET",
    [VERSIONS] = "VERSIONS"
}
local types = {
    [0x00] = "PADDING", [0x01] = "PING", [0x02] = "ACK", [0x03] = "ACK with ECN",
    [0x04] = "MAX_DATA", [0x05] = "MAX_STREAM", [0x06] = "PATH_CHALLENGE",
    [0x07] = "PATH_RESPONSE", [0x08] = "CLOSE", [0x10] = "ORDERED", [0x11] = "ORDERED fragment",
    [0x12] = "UNORDERED", [0x13] = "UNORDERED fragment", [0x14] = "SEQUENCED",
    [0x15] = "SEQUENCED fragment"
}
local codes = {
    [0] = "done", [1] = "protocol", [2] = "limit", [3] = "internal", [4] = "shutdown"
}

-- ---- fields ------------------------------------------------------------------------------------

local function name(word)
    return "kirim_channel." .. word
end

local f = {
    kind = ProtoField.uint8(name("kind"), "Kind", base.DEC, kinds),
    version = ProtoField.uint8(name("version"), "Version"),
    client_id = ProtoField.bytes(name("client_id"), "Connection id of the client"),
    server_id = ProtoField.bytes(name("server_id"), "Connection id of the server"),
    receiver_id = ProtoField.bytes(name("receiver_id"), "Connection id of the receiver"),
    number = ProtoField.uint64(name("number"), "Packet number"),
    reset_token = ProtoField.bytes(name("reset_token"), "Reset token"),
    token_bytes = ProtoField.uint8(name("token_bytes"), "Length of the token"),
    token = ProtoField.bytes(name("token"), "Token"),
    padding = ProtoField.bytes(name("padding"), "Padding"),
    asked = ProtoField.uint8(name("asked_version"), "Version that was asked for"),
    count = ProtoField.uint8(name("version_count"), "Versions that follow"),
    spoken = ProtoField.uint8(name("spoken_version"), "Version that is spoken"),
    params = ProtoField.none(name("params"), "Parameters"),
    datagram_max = ProtoField.uint32(name("params.datagram_bytes_max"), "Longest datagram"),
    window = ProtoField.uint32(name("params.window"), "Window of the connection"),
    stream_window = ProtoField.uint32(name("params.stream_window"), "Window of each stream"),
    message_max = ProtoField.uint32(name("params.message_bytes_max"), "Longest message"),
    streams = ProtoField.uint16(name("params.streams"), "Streams"),
    ack_delay = ProtoField.uint16(name("params.ack_delay"), "Longest delay of an ACK (ms)"),
    idle = ProtoField.uint32(name("params.idle"), "Silence (ms)"),
    frame = ProtoField.none(name("frame"), "Frame"),
    type = ProtoField.uint8(name("frame.type"), "Type", base.HEX, types),
    ack_largest = ProtoField.uint64(name("ack.largest"), "Largest packet number"),
    ack_lowest = ProtoField.uint64(name("ack.lowest"), "Lowest packet number"),
    ack_wait = ProtoField.uint64(name("ack.delay"), "Delay (us)"),
    ack_ranges = ProtoField.uint64(name("ack.ranges"), "Further ranges"),
    ack_length = ProtoField.uint64(name("ack.length"), "Length of the range less 1"),
    ack_gap = ProtoField.uint64(name("ack.gap"), "Gap less 1"),
    ect0 = ProtoField.uint64(name("ack.ect0"), "Packets with ECT(0)"),
    ect1 = ProtoField.uint64(name("ack.ect1"), "Packets with ECT(1)"),
    ce = ProtoField.uint64(name("ack.ce"), "Packets with CE"),
    max_data = ProtoField.uint64(name("max_data"), "Limit of the connection"),
    max_stream = ProtoField.uint64(name("max_stream"), "Limit of the stream"),
    stream = ProtoField.uint64(name("stream"), "Stream"),
    challenge = ProtoField.bytes(name("challenge"), "Challenge"),
    code = ProtoField.uint64(name("close.code"), "Code"),
    text_bytes = ProtoField.uint64(name("close.text_bytes"), "Length of the text"),
    text = ProtoField.string(name("close.text"), "Text", base.UNICODE),
    message = ProtoField.uint64(name("message"), "Number of the message"),
    message_bytes = ProtoField.uint64(name("message_bytes"), "Length of the message"),
    offset = ProtoField.uint64(name("offset"), "Offset in the message"),
    fragment_bytes = ProtoField.uint64(name("fragment_bytes"), "Length of the fragment"),
    data = ProtoField.bytes(name("data"), "Data")
}
channel.fields = f

local e = {
    malformed = ProtoExpert.new(name("malformed"), "Malformed", expert.group.MALFORMED,
                                expert.severity.ERROR),
    cut = ProtoExpert.new(name("cut"), "The capture has cut this packet", expert.group.UNDECODED,
                          expert.severity.NOTE)
}
channel.experts = e

channel.prefs.ports = Pref.range("UDP ports", "", "Ports of channels captured from the middle on",
                                 65535)

-- ---- reading -----------------------------------------------------------------------------------

-- A cursor over what was captured. It ends by error(): a table that says why.
local function cursor(tvb)
    return { tvb = tvb, at = 0, captured = tvb:len(), whole = tvb:reported_len() }
end

local function fail(c, text)
    error({ text = text, at = c.at })
end

-- The next bytes; there are so many, or this does not return.
local function take(c, bytes, what)
    if c.at + bytes > c.whole then
        fail(c, what .. ": the packet ends before it does")
    elseif c.at + bytes > c.captured then
        error({ is_cut = true, at = c.at })
    end
    local range = c.tvb(c.at, bytes)
    c.at = c.at + bytes
    return range
end

local function put(tree, field, range, value)
    if tree == nil then
        return nil
    elseif value == nil then
        return tree:add(field, range)
    end
    return tree:add(field, range, value)
end

local function read(c, tree, field, bytes)
    local range = take(c, bytes, field.label)
    put(tree, field.field, range)
    return range
end

local function named(field, label)
    return { field = field, label = label }
end

-- A varint: the number, which is exact up to 2^53, and the item.
local function varint(c, tree, field, label)
    local first = take(c, 1, label):uint()
    local bytes = 2 ^ math.floor(first / 64)
    c.at = c.at - 1
    local range = take(c, bytes, label)
    local value = UInt64(first % 64)
    for i = 1, bytes - 1 do
        value = value * 256 + range(i, 1):uint()
    end
    return value:tonumber(), put(tree, field, range, value)
end

-- ---- packets but DATA --------------------------------------------------------------------------

local function check_params(c, p)
    if p.datagram < 256 then fail(c, "datagrams of less than 256 bytes") end
    if p.window < p.stream_window then fail(c, "a window below that of its streams") end
    if p.stream_window < p.message + MESSAGE_COST then
        fail(c, "a window of streams below the longest message and 64")
    end
    if p.message > MESSAGE_BYTES_MAX then fail(c, "messages of more than 16 MiB") end
    if p.streams < 1 or p.streams > STREAM_COUNT_MAX then fail(c, "not 1 to 256 streams") end
    if p.delay > 1000 then fail(c, "a delay of more than 1 s") end
    if p.idle < 1000 then fail(c, "a silence of less than 1 s") end
end

local function read_params(c, tree)
    local whole = c.at + 24 <= c.captured and c.tvb(c.at, 24) or nil
    local inner = whole and put(tree, f.params, whole) or tree
    local p = {
        datagram = read(c, inner, named(f.datagram_max, "longest datagram"), 4):uint(),
        window = read(c, inner, named(f.window, "window"), 4):uint(),
        stream_window = read(c, inner, named(f.stream_window, "window of streams"), 4):uint(),
        message = read(c, inner, named(f.message_max, "longest message"), 4):uint(),
        streams = read(c, inner, named(f.streams, "streams"), 2):uint(),
        delay = read(c, inner, named(f.ack_delay, "delay"), 2):uint(),
        idle = read(c, inner, named(f.idle, "silence"), 4):uint()
    }
    check_params(c, p)
end

local function read_version(c, tree)
    local version = read(c, tree, named(f.version, "version"), 1):uint()
    if version ~= VERSION then
        fail(c, "version " .. version .. " is not known here")
    end
end

local function read_token(c, tree)
    local bytes = read(c, tree, named(f.token_bytes, "length of the token"), 1):uint()
    if bytes > 0 then
        read(c, tree, named(f.token, "token"), bytes)
    end
end

-- A client may speak a version that is not known: its HELLO begins alike.
local function read_hello(c, tree, info)
    local version = read(c, tree, named(f.version, "version"), 1):uint()
    info[#info + 1] = "version=" .. version
    read(c, tree, named(f.client_id, "connection id"), 8)
    local rest = math.min(c.whole, c.captured) - c.at
    if rest > 0 then
        local range = read(c, tree, named(f.padding, "padding"), rest)
        if version == VERSION and range:bytes():tohex():find("[^0]") then
            fail(c, "padding that is not zero")
        end
    end
    if version == VERSION and c.whole < HELLO_BYTES_MIN then
        fail(c, "shorter than any datagram may be bounded")
    end
end

local function end_packet(c)
    if c.at < c.whole then
        fail(c, "bytes behind the end")
    end
end

local function read_token_packet(c, tree)
    read(c, tree, named(f.client_id, "connection id"), 8)
    read_version(c, tree)
    read(c, tree, named(f.server_id, "connection id"), 8)
    read(c, tree, named(f.reset_token, "reset token"), 16)
    read_params(c, tree)
    read_token(c, tree)
    end_packet(c)
end

local function read_reset(c, tree)
    read(c, tree, named(f.reset_token, "reset token"), 16)
    end_packet(c)
end

local function read_versions(c, tree)
    read(c, tree, named(f.client_id, "connection id"), 8)
    read(c, tree, named(f.asked, "version"), 1)
    local count = read(c, tree, named(f.count, "number of versions"), 1):uint()
    if count == 0 then
        fail(c, "no versions")
    end
    for _ = 1, count do
        read(c, tree, named(f.spoken, "version"), 1)
    end
    end_packet(c)
end

-- ---- frames ------------------------------------------------------------------------------------

local function read_range(c, tree, highest)
    local less, item = varint(c, tree, f.ack_length, "length of a range")
    local lowest = highest - less
    if lowest < 0 then
        fail(c, "a range below 0")
    end
    if item then
        item:append_text(string.format(" (%.0f .. %.0f)", lowest, highest))
    end
    return lowest
end

local function read_ack(c, tree, type)
    local highest = varint(c, tree, f.ack_largest, "largest number")
    local largest = highest
    if highest >= NUMBER_END then
        fail(c, "an ACK of a number that no packet has")
    end
    varint(c, tree, f.ack_wait, "delay")
    local count = varint(c, tree, f.ack_ranges, "number of ranges")
    if count > RANGES_MAX then
        fail(c, "more than 63 further ranges")
    end
    local lowest = read_range(c, tree, highest)
    for _ = 1, count do
        highest = lowest - (varint(c, tree, f.ack_gap, "gap") + 1) - 1
        if highest < 0 then
            fail(c, "a range below 0")
        end
        lowest = read_range(c, tree, highest)
    end
    if type == 0x03 then
        varint(c, tree, f.ect0, "ECT(0)")
        varint(c, tree, f.ect1, "ECT(1)")
        varint(c, tree, f.ce, "CE")
    end
    if tree then
        tree:add(f.ack_lowest, c.tvb(c.at - 1, 0), UInt64(lowest)):set_generated()
    end
    return string.format(" %.0f", largest)
end

local function read_stream(c, tree)
    local stream = varint(c, tree, f.stream, "stream")
    if stream >= STREAM_COUNT_MAX then
        fail(c, "a stream above 255")
    end
    return stream
end

local function read_close(c, tree)
    local code, item = varint(c, tree, f.code, "code")
    if item and codes[code] then
        item:append_text(" (" .. codes[code] .. ")")
    end
    read(c, tree, named(f.reset_token, "reset token"), 16)
    local bytes = varint(c, tree, f.text_bytes, "length of the text")
    if bytes > TEXT_BYTES_MAX then
        fail(c, "a text of more than 256 bytes")
    end
    if bytes > 0 then
        put(tree, f.text, take(c, bytes, "text"))
    end
    return string.format(" %.0f", code)
end

local function read_message(c, tree, type)
    local stream = read_stream(c, tree)
    local message = varint(c, tree, f.message, "number of the message")
    local length = varint(c, tree, f.message_bytes, "length of the message")
    local bytes = length
    if length > MESSAGE_BYTES_MAX then
        fail(c, "a message of more than 16 MiB")
    end
    if type % 2 == 1 then
        local offset = varint(c, tree, f.offset, "offset")
        bytes = varint(c, tree, f.fragment_bytes, "length of the fragment")
        if bytes < 1 then
            fail(c, "a fragment of nothing")
        elseif offset + bytes > length then
            fail(c, "a fragment beyond the end of its message")
        end
    end
    if bytes > 0 then
        put(tree, f.data, take(c, bytes, "data"))
    end
    return string.format(" %.0f/%.0f", stream, message)
end

local readers = {
    [0x01] = function() end,
    [0x02] = read_ack,
    [0x03] = read_ack,
    [0x04] = function(c, tree) varint(c, tree, f.max_data, "limit") end,
    [0x05] = function(c, tree)
        local stream = read_stream(c, tree)
        varint(c, tree, f.max_stream, "limit")
        return string.format(" %.0f", stream)
    end,
    [0x06] = function(c, tree) read(c, tree, named(f.challenge, "challenge"), 8) end,
    [0x07] = function(c, tree) read(c, tree, named(f.challenge, "challenge"), 8) end,
    [0x08] = read_close
}
for type = 0x10, 0x15 do
    readers[type] = read_message
end

-- Neighbouring bytes of padding are one item.
local function read_padding(c, tree)
    local start = c.at
    while c.at < c.captured and c.tvb(c.at, 1):uint() == 0 do
        c.at = c.at + 1
    end
    local inner = put(tree, f.frame, c.tvb(start, c.at - start))
    if inner then
        inner:set_text("PADDING, " .. c.at - start)
        inner:add(f.type, c.tvb(start, 1))
    end
end

local function read_frame(c, tree, info)
    local start = c.at
    local type = take(c, 1, "type"):uint()
    if type == 0 then
        c.at = start
        read_padding(c, tree)
        info[#info + 1] = "PADDING"
        return
    end
    local inner = put(tree, f.frame, c.tvb(start))
    if inner then
        inner:set_text(types[type] or "unknown frame")
        inner:add(f.type, c.tvb(start, 1))
    end
    if readers[type] == nil then
        fail(c, string.format("type 0x%02x is not known", type))
    end
    local more = readers[type](c, inner, type) or ""
    if inner then
        inner:set_text(types[type] .. more)
        inner:set_len(c.at - start)
    end
    info[#info + 1] = types[type] .. more
end

local function read_frames(c, tree, info)
    if c.at == c.whole then
        fail(c, "no frame")
    end
    while c.at < c.whole do
        read_frame(c, tree, info)
    end
end

local function read_number(c, tree, info)
    local range = read(c, tree, named(f.number, "packet number"), 6)
    info[#info + 1] = "number=" .. tostring(range:uint64())
end

local function read_begin(c, tree, info)
    read(c, tree, named(f.server_id, "connection id"), 8)
    read_number(c, tree, info)
    read_version(c, tree)
    read(c, tree, named(f.client_id, "connection id"), 8)
    read(c, tree, named(f.reset_token, "reset token"), 16)
    read_params(c, tree)
    read_token(c, tree)
    read_frames(c, tree, info)
end

local function read_data(c, tree, info)
    read(c, tree, named(f.receiver_id, "connection id"), 8)
    read_number(c, tree, info)
    read_frames(c, tree, info)
end

local packets = {
    [HELLO] = read_hello, [TOKEN] = read_token_packet, [BEGIN] = read_begin, [DATA] = read_data,
    [RESET] = read_reset, [VERSIONS] = read_versions
}

-- ---- the dissector -----------------------------------------------------------------------------

-- Reads a packet; what it says goes into `info`. Returns nil, or why it cannot be read to its end.
local function read_packet(tvb, tree, info)
    local c = cursor(tvb)
    local is_done, why = pcall(function()
        local kind = read(c, tree, named(f.kind, "kind"), 1):uint()
        info[1] = kinds[kind]
        if packets[kind] == nil then
            fail(c, "kind " .. kind .. " is not known")
        end
        packets[kind](c, tree, info)
    end)
    if is_done then
        return nil
    elseif type(why) ~= "table" then
        error(why, 0) -- a fault of this file, not of the packet
    end
    return why
end

function channel.dissector(tvb, pinfo, root)
    if tvb:len() == 0 then
        return 0
    end
    local info = {}
    local tree = root:add(channel, tvb())
    local why = read_packet(tvb, tree, info)
    pinfo.cols.protocol = "KIRIM-CH"
    pinfo.cols.info = table.concat(info, ", ")
    if why and why.is_cut then
        tree:add_proto_expert_info(e.cut)
        pinfo.cols.info:append(" [cut]")
    elseif why then
        tree:add_proto_expert_info(e.malformed, "Malformed: " .. why.text)
        pinfo.cols.info:append(" [malformed: " .. why.text .. "]")
    end
    return tvb:len()
end

-- Whether a packet is so surely one of a channel that its conversation is one. RESET looks like
-- chance, and so does what is not read to its end.
local function is_channel(tvb, pinfo)
    local kind = tvb:len() > 0 and tvb(0, 1):uint() or 0
    if kind < HELLO or kind > VERSIONS or kind == RESET then
        return false
    elseif kind == HELLO and (tvb:len() < 2 or tvb(1, 1):uint() ~= VERSION) then
        return false
    end
    local why = read_packet(tvb, nil, {})
    if why then
        return false
    end
    pinfo.conversation = channel
    return true
end

channel:register_heuristic("udp", function(tvb, pinfo, root)
    if not is_channel(tvb, pinfo) then
        return false
    end
    channel.dissector(tvb, pinfo, root)
    return true
end)

local udp_ports = DissectorTable.get("udp.port")
local ports = channel.prefs.ports

udp_ports:add_for_decode_as(channel)
pcall(function() DissectorTable.get("dtls.port"):add_for_decode_as(channel) end)

function channel.prefs_changed()
    if ports ~= channel.prefs.ports then
        udp_ports:remove(ports, channel)
        ports = channel.prefs.ports
        udp_ports:add(ports, channel)
    end
end
