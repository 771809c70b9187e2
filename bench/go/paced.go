// SPDX-License-Identifier: MIT
package main

import "time"

type pacedNode struct {
	next  *pacedNode
	data  [6]uint64
	value uint64
}

// What is stored here escapes to the heap.
var pacedSink *pacedNode

func paced(first int, burst uint64) {
	nodes, ticks, rate := number(first), number(first+1), number(first+2)
	sum, made, late, r := uint64(0), uint64(0), uint64(0), random(6)
	table := make([]*pacedNode, nodes)
	for i := range table {
		table[i] = new(pacedNode)
	}
	var l laps
	begin := time.Now()
	for tick := uint64(0); tick < ticks; tick++ {
		due := time.Duration(tick) * time.Millisecond
		now := time.Since(begin)
		n := rate
		if tick/50%2 != 0 {
			n *= burst
		}
		if now < due {
			time.Sleep(due - now)
		} else if now > due+time.Millisecond {
			late++
		}
		l.begin()
		for i := uint64(0); i < n; i++ {
			node := &pacedNode{value: made}
			made++
			pacedSink = node
			if i%4 != 0 {
				sum += node.value
			} else {
				slot := &table[r.below(nodes)]
				sum += (*slot).value
				*slot = node
			}
			if i%batch == batch-1 {
				l.next()
			}
		}
	}
	printOps(made, begin)
	figure("late", "ticks", float64(late))
	l.print()
	printSum(sum)
}

func runBursty() {
	paced(0, 10)
}

func runPercent() {
	paced(1, 1)
}
