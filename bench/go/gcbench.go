// SPDX-License-Identifier: MIT
package main

import "time"

type boehm struct {
	left, right *boehm
	i, j        uint32
}

var boehmMade uint64

func boehmNew() *boehm {
	boehmMade++
	return new(boehm)
}

func boehmPopulate(depth uint64, node *boehm) {
	if depth == 0 {
		return
	}
	node.left = boehmNew()
	node.right = boehmNew()
	boehmPopulate(depth-1, node.left)
	boehmPopulate(depth-1, node.right)
}

func boehmMake(depth uint64) *boehm {
	if depth == 0 {
		return boehmNew()
	}
	left := boehmMake(depth - 1)
	right := boehmMake(depth - 1)
	node := boehmNew()
	node.left = left
	node.right = right
	return node
}

func (node *boehm) count() uint64 {
	if node.left == nil {
		return 1
	}
	return 1 + node.left.count() + node.right.count()
}

func runGcbench() {
	depth := number(0)
	begin := time.Now()
	boehmMake(depth + 2)
	kept := boehmNew()
	boehmPopulate(depth, kept)
	array := make([]float64, 500000)
	for i := 1; i < len(array); i++ {
		array[i] = 1.0 / float64(i)
	}
	for d := uint64(4); d <= depth; d += 2 {
		trees := 2 * (2<<(depth+2) - 1) / (2<<d - 1)
		for i := 0; i < trees; i++ {
			boehmPopulate(d, boehmNew())
		}
		for i := 0; i < trees; i++ {
			boehmMake(d)
		}
	}
	sum := boehmMade + kept.count() + uint64(array[1000]*1e6)
	printOps(boehmMade, begin)
	printSum(sum)
}
