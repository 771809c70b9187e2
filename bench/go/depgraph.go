// SPDX-License-Identifier: MIT
package main

import "time"

type pkg struct {
	edges           *edge
	visited, number uint64
}

type edge struct {
	next *edge
	to   *pkg
}

func connect(table []*pkg, i uint64, r *random) {
	var list *edge
	n := uint64(0)
	if i != 0 {
		n = r.below(9)
	}
	for ; n > 0; n-- {
		u := r.below(1024)
		list = &edge{list, table[i*u/1024*u/1024*u/1024]}
	}
	table[i].edges = list
}

func ask(from *pkg, query uint64) uint64 {
	sum := uint64(0)
	head := &edge{nil, from}
	tail := head
	from.visited = query
	for ; head != nil; head = head.next {
		p := head.to
		sum += p.number
		for e := p.edges; e != nil; e = e.next {
			if e.to.visited == query {
				continue
			}
			e.to.visited = query
			tail.next = &edge{nil, e.to}
			tail = tail.next
		}
	}
	return sum
}

func runDepgraph() {
	nr, queries := number(0), number(1)
	sum, r := uint64(0), random(9)
	table := make([]*pkg, nr)
	for i := uint64(0); i < nr; i++ {
		table[i] = &pkg{number: i}
		connect(table, i, &r)
	}
	var l laps
	begin := time.Now()
	l.begin()
	for query := uint64(1); query <= queries; query++ {
		sum += ask(table[r.below(nr)], query)
		connect(table, r.below(nr), &r)
		if query%batch == 0 {
			l.next()
		}
	}
	printOps(queries, begin)
	l.print()
	printSum(sum)
}
