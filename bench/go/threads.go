// SPDX-License-Identifier: MIT
package main

import (
	"sync"
	"time"
)

type link struct {
	next  *link
	data  [2]uint64
	value uint64
}

const workers, linkSlots = 2, 65536

// What is stored here escapes to the heap; one for each worker, a cache line apart.
var linkSink [workers * 8]*link

func linkWork(index, operations uint64, l *laps) uint64 {
	sum := uint64(0)
	table := make([]*link, linkSlots)
	l.begin()
	for i := uint64(0); i < operations; i++ {
		p := &link{value: i}
		linkSink[index*8] = p
		if i%16 != 0 {
			sum += p.value
		} else {
			slot := &table[i/16%linkSlots]
			if *slot != nil {
				sum += (*slot).value
			}
			*slot = p
		}
		if i%batch == batch-1 {
			l.next()
		}
	}
	for _, p := range table {
		if p != nil {
			sum++
		}
	}
	return sum
}

func runThreads() {
	nr, operations := number(0), number(1)
	sums := make([]uint64, nr)
	var l [workers]laps
	var made, work, over sync.WaitGroup
	start, end := make(chan bool), make(chan bool)
	made.Add(int(nr))
	work.Add(workers)
	over.Add(int(nr))
	for i := uint64(0); i < nr; i++ {
		go func(index uint64) {
			var list *link
			for i := uint64(0); i < 64; i++ {
				list = &link{next: list, value: i}
			}
			made.Done()
			if index < workers {
				<-start
				sums[index] = linkWork(index, operations/workers, &l[index])
				work.Done()
			}
			<-end
			for ; list != nil; list = list.next {
				sums[index] += list.value
			}
			over.Done()
		}(i)
	}
	made.Wait()
	begin := time.Now()
	close(start)
	work.Wait()
	printOps(operations, begin)
	close(end)
	over.Wait()
	sum := uint64(0)
	for _, s := range sums {
		sum += s
	}
	l[0].add(&l[1])
	l[0].print()
	printSum(sum)
}
