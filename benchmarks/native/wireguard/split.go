// wireguard-go's segmenter on one super-packet: TCP over IP, no tunnel, no Ethernet.
package main

import (
	"os"
	_ "unsafe" // for go:linkname

	_ "golang.zx2c4.com/wireguard/tun"
)

// The library's own argument type, which it does not export either.
type virtioNetHdr struct {
	flags, gsoType                         uint8
	hdrLen, gsoSize, csumStart, csumOffset uint16
}

// The library calls it when it reads a super-packet from a TUN device.
//
//go:linkname gsoSplit golang.zx2c4.com/wireguard/tun.gsoSplit
func gsoSplit(in []byte, hdr virtioNetHdr, out [][]byte, sizes []int, offset int, v6 bool) (int, error)

// PACKET GSO_SIZE HEADERS TCP SEGMENTS_OUT
func split(arguments []string) round {
	packet, err := os.ReadFile(arguments[0])
	must(err)
	v6 := packet[0]>>4 == 6
	header := virtioNetHdr{1, 1, number(arguments[2]), number(arguments[1]), number(arguments[3]), 16}
	if v6 {
		header.gsoType = 4
	}
	out, sizes := make([][]byte, 128), make([]int, 128)
	for i := range out {
		out[i] = make([]byte, 65536)
	}
	segment := func() int {
		n, err := gsoSplit(packet, header, out, sizes, 0, v6)
		must(err)
		return n
	}
	segments := [][]byte{}
	for i, n := 0, segment(); i < n; i++ {
		segments = append(segments, out[i][:sizes[i]])
	}
	save(arguments[4], segments)
	return timed(func() {}, func() { segment() })
}
