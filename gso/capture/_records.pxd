from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

# A row of RECORD_DTYPE
cdef packed struct Record:
    int64_t block           # where the record or block starts in the buffer
    int64_t data            # where its packet starts in the buffer
    int64_t options         # where its pcapng options start in the buffer
    uint64_t ticks          # timestamp; pcap: seconds << 32 | fraction
    uint32_t block_length
    uint32_t captured       # packet bytes in the file
    uint32_t original       # packet bytes on the wire
    uint32_t options_length
    uint32_t interface      # number within the section
    uint32_t kind           # one of the constants below


# Raise IndexError for records, which callers may have changed, that leave the buffer.
cdef int check_records(const uint8_t[::1] buffer, const Record[::1] records) except -1
