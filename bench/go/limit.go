// SPDX-License-Identifier: MIT
package main

import "time"

type pair struct {
	bytes *byte
	data  [6]uint64
	value uint64
}

func newPair(value uint64, r *random) *pair {
	size := r.size(128, 3)
	p := new(pair)
	bytes := make([]byte, size)
	bytes[0] = byte(value)
	bytes[size-1] = byte(value)
	p.value = value
	p.bytes = &bytes[0]
	return p
}

func runLimit() {
	limit, operations := number(0)<<20, number(1)
	nr, sum, r := limit*60/100/(64+560), uint64(0), random(7)
	table := make([]*pair, nr)
	for i := range table {
		table[i] = newPair(uint64(i), &r)
	}
	var l laps
	begin := time.Now()
	l.begin()
	for i := uint64(0); i < operations; i++ {
		slot := &table[r.below(nr)]
		p := newPair(i, &r)
		sum += (*slot).value + uint64(*(*slot).bytes)
		*slot = p
		if i%batch == batch-1 {
			l.next()
		}
	}
	printOps(operations, begin)
	l.print()
	figure("completed", "1", 1)
	printSum(sum)
}
