"""RFC 1071, word by word."""


def ones_sum(data, total=0):
    """Ones' complement sum of big-endian 16-bit words, folded to 16 bits."""
    if len(data) % 2:
        data = bytes(data) + b"\0"
    for i in range(0, len(data), 2):
        total += data[i] << 8 | data[i + 1]
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def checksum(data, initial=0):
    return ones_sum(data, initial) ^ 0xFFFF


def pseudo_header(source, destination, protocol, length):
    return ones_sum(
        bytes(source) + bytes(destination) + length.to_bytes(4, "big") + bytes([0, protocol])
    )


def not_zero(check):
    """UDP sends a checksum of 0 as 0xffff (RFC 768)."""
    return check or 0xFFFF
