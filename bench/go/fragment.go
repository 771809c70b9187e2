// SPDX-License-Identifier: MIT
package main

import (
	"runtime"
	"time"
	"unsafe"
)

// bytesAt is a buffer of which, as in C, only the address is kept: a slice's header
// would be two more words.
func bytesAt(p *byte, size uint64) []byte {
	return unsafe.Slice(p, size)
}

var fragmentTable, fragmentKept []*byte

func runFragment() {
	phases, objects, seconds := number(0), number(1), number(2)
	live, sum, nr, r := uint64(0), uint64(0), uint64(0), random(3)
	begin := time.Now()
	fragmentTable = make([]*byte, objects)
	room := phases*objects*3/20 + batch
	fragmentKept = make([]*byte, room)
	sizes := make([]uint64, objects)
	for phase := uint64(0); phase < phases; phase++ {
		for i := range fragmentTable {
			size := r.size(32, 7)
			object := make([]byte, size)
			object[0] = byte(i)
			object[size-1] = byte(phase)
			sizes[i] = size
			fragmentTable[i] = &object[0]
		}
		for i, object := range fragmentTable {
			if r.below(10) != 0 || nr == room {
				continue
			}
			bytes := bytesAt(object, sizes[i])
			fragmentKept[nr] = object
			nr++
			live += sizes[i]
			sum += uint64(bytes[0]) + uint64(bytes[sizes[i]-1])
		}
		for i := range fragmentTable {
			fragmentTable[i] = nil
		}
		runtime.GC()
	}
	printOps(phases*objects, begin)
	printSum(sum + live)
	live += nr * 8
	figure("live", "KiB", float64(live)/1024)
	fragmentTable = nil
	runtime.GC()
	memory("collected", live)
	time.Sleep(time.Duration(seconds) * time.Second)
	memory("later", live)
	release()
	memory("released", live)
}
