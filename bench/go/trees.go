// SPDX-License-Identifier: MIT
//
// trees: the same work as trees.c.
package main

import (
	"sync"
	"time"
)

const minDepth = 4

type node struct{ left, right *node }

func makeTree(levels int) *node {
	if levels == 0 {
		return &node{}
	}
	left := makeTree(levels - 1)
	right := makeTree(levels - 1)
	return &node{left, right}
}

func (n *node) count() uint64 {
	if n.left == nil {
		return 1
	}
	return 1 + n.left.count() + n.right.count()
}

func runTrees() {
	depth := int(number(0))
	threads := int(number(1))
	begin := time.Now()
	nodes := makeTree(depth + 1).count()
	kept := makeTree(depth)
	shares := make([]uint64, threads)
	var all sync.WaitGroup
	for index := 0; index < threads; index++ {
		all.Add(1)
		go func(index int) {
			defer all.Done()
			sum := uint64(0)
			for d := minDepth; d <= depth; d += 2 {
				trees := 1 << (depth - d + minDepth)
				for i := index; i < trees; i += threads {
					sum += makeTree(d).count()
				}
			}
			shares[index] = sum
		}(index)
	}
	all.Wait()
	for _, sum := range shares {
		nodes += sum
	}
	nodes += kept.count()
	printOps(nodes, begin)
	printSum(nodes)
}
