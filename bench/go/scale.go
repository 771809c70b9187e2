// SPDX-License-Identifier: MIT
package main

import "runtime"

type scaled struct {
	left, right *scaled
	data        [4]uint64
	seen, value uint64
}

func runScale() {
	nr, cycles := number(0)<<20/64, number(1)
	sum, least, r := uint64(0), 1e9, random(8)
	table := make([]*scaled, nr)
	for i := uint64(0); i < nr; i++ {
		node := &scaled{value: i}
		if i != 0 {
			node.left = table[r.below(i)]
			node.right = table[r.below(i)]
		}
		table[i] = node
	}
	for i := uint64(0); i < cycles; i++ {
		begin := cpuSeconds()
		runtime.GC()
		if cpu := cpuSeconds() - begin; cpu < least {
			least = cpu
		}
	}
	figure("cycle", "ns/object", least/float64(nr)*1e9)
	for _, node := range table[1:] {
		sum += node.left.value + node.right.value
	}
	printSum(sum)
}
