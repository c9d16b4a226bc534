// wireguard-go's segmenter and GRO, which its TUN device uses: what they make, and how long they take.
//
// usage: wireguard split PACKET GSO_SIZE HEADERS TCP SEGMENTS_OUT
//
//	wireguard merge PACKETS HEADERS MERGED_OUT
//
// Files of several packets have each with its length in front (32 bits, native). When the output is
// written, it answers rounds like the programs in C: a line "MODE REPEATS" in, nanoseconds of one out.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"time"
)

// A round returns the time that so many repeats take.
type round func(repeats int) time.Duration

func main() {
	perform := map[string]func([]string) round{"split": split, "merge": merge}[os.Args[1]](os.Args[2:])
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var mode string
		var repeats int
		_, err := fmt.Sscan(lines.Text(), &mode, &repeats)
		must(err)
		fmt.Printf("%.3f\n", float64(perform(repeats).Nanoseconds())/float64(repeats))
	}
}

// Only `work` counts, not what prepares it.
func timed(prepare, work func()) round {
	return func(repeats int) (spent time.Duration) {
		for i := 0; i < repeats; i++ {
			prepare()
			start := time.Now()
			work()
			spent += time.Since(start)
		}
		return spent
	}
}

func save(path string, packets [][]byte) {
	data := []byte{}
	for _, packet := range packets {
		data = binary.LittleEndian.AppendUint32(data, uint32(len(packet)))
		data = append(data, packet...)
	}
	must(os.WriteFile(path, data, 0o600))
}

func number(text string) uint16 {
	n, err := strconv.Atoi(text)
	must(err)
	return uint16(n)
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
