// wireguard-go's GRO on a burst of packets: TCP over IP, no tunnel, no Ethernet.
package main

import (
	"encoding/binary"
	"os"
	"unsafe"

	_ "golang.zx2c4.com/wireguard/tun"
)

// Bytes in front of each packet, for the virtio header that the library writes there.
const room = 10

// The library calls it when it writes packets to a TUN device. The tables are of types of its own.
//
//go:linkname handleGRO golang.zx2c4.com/wireguard/tun.handleGRO
func handleGRO(bufs [][]byte, offset int, tcp, udp unsafe.Pointer, canUDPGRO bool, toWrite *[]int) error

//go:linkname newTCPGROTable golang.zx2c4.com/wireguard/tun.newTCPGROTable
func newTCPGROTable() unsafe.Pointer

//go:linkname newUDPGROTable golang.zx2c4.com/wireguard/tun.newUDPGROTable
func newUDPGROTable() unsafe.Pointer

//go:linkname resetTCP golang.zx2c4.com/wireguard/tun.(*tcpGROTable).reset
func resetTCP(table unsafe.Pointer)

// PACKETS HEADERS MERGED_OUT
func merge(arguments []string) round {
	packets := load(arguments[0])
	headers := int(number(arguments[1]))
	bufs, whole := make([][]byte, len(packets)), make([][]byte, len(packets))
	for i, packet := range packets {
		whole[i] = make([]byte, 1<<16+room)
		copy(whole[i][room:], packet)
	}
	tcp, udp := newTCPGROTable(), newUDPGROTable()
	written := make([]int, 0, len(packets))
	// The packets as they came: their headers and lengths are what the library changes.
	receive := func() {
		written = written[:0]
		for i, packet := range packets {
			bufs[i] = whole[i][:room+len(packet)]
			copy(bufs[i][room:], packet[:headers])
		}
	}
	merge := func() {
		must(handleGRO(bufs, room, tcp, udp, true, &written))
		resetTCP(tcp)
	}
	receive()
	merge()
	merged := [][]byte{}
	for _, i := range written {
		merged = append(merged, bufs[i][room:])
	}
	save(arguments[2], merged)
	return timed(receive, merge)
}

func load(path string) [][]byte {
	data, err := os.ReadFile(path)
	must(err)
	packets := [][]byte{}
	for len(data) > 0 {
		end := 4 + binary.LittleEndian.Uint32(data)
		packets = append(packets, data[4:end])
		data = data[end:]
	}
	return packets
}
