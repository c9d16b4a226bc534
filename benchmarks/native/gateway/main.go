// A GUE tunnel made of wireguard-go's TUN device and UDP socket, without WireGuard: no keys, no
// encryption, no queues between the two. Both use the kernel's offloads (TSO and GRO on the device,
// UDP_SEGMENT and UDP_GRO on the socket).
//
// usage: gateway LOCAL REMOTE        (LOCAL is not bound: the socket takes any address of this host)
package main

import (
	"fmt"
	"net/netip"
	"os"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/tun"
)

const (
	port    = 6080
	mtu     = 1500 - 20 - 8 - gueSize
	gueSize = 4
	// Bytes in front of each packet that is written: the library puts a virtio header there.
	room = 16
	most = 1<<16 + room + gueSize
)

func main() {
	device, err := tun.CreateTUN("gue0", mtu)
	must(err)
	remote, err := netip.ParseAddr(os.Args[2])
	must(err)
	bind := conn.NewStdNetBind()
	receivers, _, err := bind.Open(port)
	must(err)
	fmt.Println("ready")
	go outward(device, bind, netip.AddrPortFrom(remote, port).String())
	for _, receive := range receivers[1:] {
		go inward(device, bind, receive, remote)
	}
	inward(device, bind, receivers[0], remote)
}

// Send what the kernel routed into the TUN device.
func outward(device tun.Device, bind conn.Bind, remote string) {
	endpoint, err := bind.ParseEndpoint(remote)
	must(err)
	bufs, sizes := buffers(device.BatchSize()), make([]int, device.BatchSize())
	sent := make([][]byte, 0, len(bufs))
	for {
		count, err := device.Read(bufs, sizes, gueSize)
		if err != nil {
			continue // a packet that is larger than promised
		}
		sent = sent[:0]
		for i := range count {
			number := byte(4) // IPPROTO_IPIP
			if bufs[i][gueSize]>>4 == 6 {
				number = 41 // IPPROTO_IPV6
			}
			copy(bufs[i], []byte{0, number, 0, 0})
			sent = append(sent, bufs[i][:gueSize+sizes[i]])
		}
		for len(sent) > 0 {
			some := min(len(sent), bind.BatchSize())
			_ = bind.Send(sent[:some], endpoint) // nobody there: packets are lost, as on a wire
			sent = sent[some:]
		}
	}
}

// Write into the TUN device what came by UDP.
func inward(device tun.Device, bind conn.Bind, receive conn.ReceiveFunc, remote netip.Addr) {
	count := bind.BatchSize()
	whole := buffers(count)
	bufs, packets := make([][]byte, count), make([][]byte, 0, count)
	sizes, from := make([]int, count), make([]conn.Endpoint, count)
	for {
		for i := range bufs {
			bufs[i] = whole[i][room:]
		}
		got, err := receive(bufs, sizes, from)
		if err != nil {
			continue
		}
		packets = packets[:0]
		for i := range got {
			gue := bufs[i][:sizes[i]]
			if len(gue) > gueSize && gue[0]|gue[2]|gue[3] == 0 && from[i].DstIP() == remote {
				packets = append(packets, whole[i][:room+sizes[i]])
			}
		}
		_, _ = device.Write(packets, room+gueSize) // the device is down: packets are lost
	}
}

func buffers(count int) [][]byte {
	made := make([][]byte, count)
	for i := range made {
		made[i] = make([]byte, most)
	}
	return made
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
