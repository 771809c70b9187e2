// SPDX-License-Identifier: MIT
package main

import "time"

type mutant struct {
	left, right, extra *mutant
	data               [4]uint64
	value              uint64
}

// What is stored here escapes to the heap.
var mutantSink *mutant

func mutantList(step uint64) uint64 {
	first := &mutant{value: step}
	second := &mutant{left: first}
	third := &mutant{left: second}
	mutantSink = third
	return mutantSink.left.left.value
}

func runMutate() {
	nodes, steps := number(0), number(1)
	slots, sum, r := nodes/4, uint64(0), random(1)
	table := make([]*mutant, nodes)
	for i := range table {
		table[i] = &mutant{value: uint64(i)}
		if i > 0 {
			table[i].left = table[r.below(uint64(i))]
		}
	}
	var l laps
	begin := time.Now()
	l.begin()
	for i := uint64(0); i < steps; i++ {
		node := table[r.below(nodes)]
		node.left = table[r.below(nodes)]
		node = table[r.below(nodes)]
		node.right = table[r.below(nodes)]
		node = &mutant{value: i}
		old := table[r.below(slots)]
		if old.extra != nil {
			sum += old.extra.value
		}
		old.extra = node
		sum += mutantList(i)
		if i%batch == batch-1 {
			l.next()
		}
	}
	printOps(steps, begin)
	l.print()
	for _, node := range table {
		if node.left != nil {
			sum += node.left.value
		}
		if node.right != nil {
			sum += 3 * node.right.value
		}
	}
	printSum(sum)
}
