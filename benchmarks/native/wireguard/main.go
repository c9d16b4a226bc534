// wireguard-go's segmenter on one super-packet: TCP over IP, no tunnel, no Ethernet.
//
// usage: wireguard PACKET GSO_SIZE HEADERS TCP SEGMENTS_OUT
//
// Writes the segments to SEGMENTS_OUT, each with its length in front (32 bits, native), then answers
// rounds like the programs in C: a line "MODE REPEATS" in, nanoseconds of one out.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"time"
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

func number(text string) uint16 {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	return uint16(n)
}

func main() {
	packet, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	v6 := packet[0]>>4 == 6
	header := virtioNetHdr{1, 1, number(os.Args[3]), number(os.Args[2]), number(os.Args[4]), 16}
	if v6 {
		header.gsoType = 4
	}
	out, sizes := make([][]byte, 128), make([]int, 128)
	for i := range out {
		out[i] = make([]byte, 65536)
	}
	split := func() int {
		n, err := gsoSplit(packet, header, out, sizes, 0, v6)
		if err != nil {
			panic(err)
		}
		return n
	}

	saved := []byte{}
	for i, n := 0, split(); i < n; i++ {
		saved = binary.LittleEndian.AppendUint32(saved, uint32(sizes[i]))
		saved = append(saved, out[i][:sizes[i]]...)
	}
	if err := os.WriteFile(os.Args[5], saved, 0o600); err != nil {
		panic(err)
	}

	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var mode string
		var repeats int
		if _, err := fmt.Sscan(lines.Text(), &mode, &repeats); err != nil {
			panic(err)
		}
		start := time.Now()
		for i := 0; i < repeats; i++ {
			split()
		}
		fmt.Printf("%.3f\n", float64(time.Since(start).Nanoseconds())/float64(repeats))
	}
}
