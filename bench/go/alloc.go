// SPDX-License-Identifier: MIT
//
// alloc: the same work as alloc.c.  Go clears every object, so that "raw" is
// "zeroed" here; a node has its pointers where the C structure has them.
package main

import (
	"os"
	"time"
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

type node1024 struct {
	left, right *node1024
	value       [125]uint64
	last        uint64
}

type bytes16 [2]uint64
type bytes64 [8]uint64
type bytes256 [32]uint64
type bytes1024 [128]uint64

// What is stored here escapes to the heap, and is garbage with the next store.
var (
	sink16       *bytes16
	sink64       *bytes64
	sink256      *bytes256
	sink1024     *bytes1024
	sinkAny      []uint64
	sinkNode16   *node16
	sinkNode64   *node64
	sinkNode256  *node256
	sinkNode1024 *node1024
)

func runAlloc() {
	what := os.Args[2]
	size := number(1)
	n := number(2)
	begin := time.Now()
	sum := allocate(what, size, n)
	printOps(n, begin)
	printSum(sum)
}

func allocate(what string, size, n uint64) uint64 {
	sum := uint64(0)
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
		case 1024:
			for i := uint64(0); i < n; i++ {
				p := new(node1024)
				sinkNode1024 = p
				p.last += i
				sum += p.last
			}
		}
		return sum
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
	case 1024:
		for i := uint64(0); i < n; i++ {
			p := new(bytes1024)
			sink1024 = p
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
	return sum
}
