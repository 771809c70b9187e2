// SPDX-License-Identifier: MIT
//
// alloc: the same work as alloc.c.  Go clears every object, so that "raw" is
// "zeroed" here; a node has its pointers where the C structure has them.
package main

import (
	"fmt"
	"os"
	"strconv"
)

type node16 struct{ left, right *node16 }

type node64 struct {
	left, right *node64
	value       [5]uint64
	last        uint64
}

type node256 struct {
	left, right *node256
	value       [29]uint64
	last        uint64
}

type bytes16 [2]uint64
type bytes64 [8]uint64
type bytes256 [32]uint64

// What is stored here escapes to the heap, and is garbage with the next store.
var (
	sink16      *bytes16
	sink64      *bytes64
	sink256     *bytes256
	sinkAny     []uint64
	sinkNode16  *node16
	sinkNode64  *node64
	sinkNode256 *node256
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "alloc zeroed|raw|node SIZE COUNT")
		os.Exit(1)
	}
	what := os.Args[1]
	size, _ := strconv.Atoi(os.Args[2])
	count, _ := strconv.Atoi(os.Args[3])
	sum := uint64(0)
	n := uint64(count)
	if what == "node" {
		switch size {
		case 16:
			for i := uint64(0); i < n; i++ {
				sinkNode16 = new(node16)
				sum += i
			}
		case 64:
			for i := uint64(0); i < n; i++ {
				p := new(node64)
				sinkNode64 = p
				p.last += i
				sum += p.last
			}
		case 256:
			for i := uint64(0); i < n; i++ {
				p := new(node256)
				sinkNode256 = p
				p.last += i
				sum += p.last
			}
		}
		fmt.Println(sum)
		return
	}
	switch size {
	case 16:
		for i := uint64(0); i < n; i++ {
			p := new(bytes16)
			sink16 = p
			p[1] += i
			sum += p[1]
		}
	case 64:
		for i := uint64(0); i < n; i++ {
			p := new(bytes64)
			sink64 = p
			p[1] += i
			sum += p[1]
		}
	case 256:
		for i := uint64(0); i < n; i++ {
			p := new(bytes256)
			sink256 = p
			p[1] += i
			sum += p[1]
		}
	default:
		for i := uint64(0); i < n; i++ {
			p := make([]uint64, size/8)
			sinkAny = p
			p[1] += i
			sum += p[1]
		}
	}
	fmt.Println(sum)
}
