// SPDX-License-Identifier: MIT
package main

import (
	"runtime"
	"sync/atomic"
	"time"
)

const bufferLeast = 33 << 10

type crumb struct {
	next  *crumb
	data  [6]uint64
	value uint64
}

func fresh(slot **byte, size uint64) uint64 {
	*slot = nil
	buffer := make([]byte, size)
	sum := uint64(0)
	for i := uint64(0); i < size; i += 4096 {
		sum += uint64(buffer[i])
		buffer[i] = 1
	}
	*slot = &buffer[0]
	return sum + size
}

func runLarge() {
	slots, operations := number(0), number(1)
	sum, r := uint64(0), random(4)
	table := make([]*byte, slots)
	var l laps
	begin := time.Now()
	l.begin()
	for i := uint64(0); i < operations; i++ {
		size := r.size(bufferLeast, 8)
		sum += fresh(&table[r.below(slots)], size)
		if i%batch == batch-1 {
			l.next()
		}
	}
	printOps(operations, begin)
	l.print()
	printSum(sum)
}

func runJitter() {
	slots, steps := number(0), number(1)
	sum, r := uint64(0), random(5)
	table := make([]*byte, slots)
	small := make([]*crumb, 4096)
	var quit uint32
	done := make(chan bool)
	go func() {
		for atomic.LoadUint32(&quit) == 0 {
			runtime.GC()
			time.Sleep(20 * time.Millisecond)
		}
		done <- true
	}()
	var l laps
	begin := time.Now()
	l.begin()
	for i := uint64(0); i < steps; i++ {
		c := &crumb{value: i}
		slot := &small[r.below(4096)]
		if *slot != nil {
			sum += (*slot).value
		}
		*slot = c
		if i%16 == 0 {
			sum += fresh(&table[r.below(slots)], bufferLeast)
		}
		if i%batch == batch-1 {
			l.next()
		}
	}
	printOps(steps, begin)
	l.print()
	printSum(sum)
	atomic.StoreUint32(&quit, 1)
	<-done
}
