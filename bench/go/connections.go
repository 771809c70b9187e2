// SPDX-License-Identifier: MIT
package main

import (
	"runtime"
	"time"
)

type listener struct{ accepted uint64 }

// As large as the header in C: 64 bytes.
type conn struct {
	buffer   *byte
	listener *listener
	counters [4]uint64
	size     uint64
	touched  uint64
}

type server struct {
	table     []*conn
	listeners []*listener
	live      uint64
	r         random
}

func (s *server) newBuffer(size uint64, old []byte) *byte {
	buffer := make([]byte, size)
	if old != nil {
		copy(buffer, old)
	} else {
		buffer[0] = 0
	}
	buffer[size-1] = 1
	s.live += size
	return &buffer[0]
}

func (c *conn) bytes() []byte {
	return bytesAt(c.buffer, c.size)
}

func (s *server) openAt(i uint64) {
	c := new(conn)
	c.listener = s.listeners[i%16]
	c.listener.accepted++
	c.size = s.r.size(64, 6)
	c.buffer = s.newBuffer(c.size, nil)
	s.live += 64
	s.table[i] = c
}

func (s *server) closeAt(i uint64) {
	s.live -= 64 + s.table[i].size
}

func (s *server) resizeAt(i uint64) {
	c := s.table[i]
	size := s.r.size(64, 6)
	c.buffer = s.newBuffer(size, c.bytes())
	s.live -= c.size
	c.size = size
}

func (s *server) touchAt(i uint64) uint64 {
	c := s.table[i]
	buffer := c.bytes()
	c.touched++
	buffer[0]++
	buffer[c.size-1]++
	return c.touched + uint64(buffer[0]) + uint64(buffer[c.size-1])
}

func (s *server) serve(count, operations uint64) uint64 {
	sum := uint64(0)
	for i := 0; i < 16; i++ {
		s.listeners = append(s.listeners, new(listener))
	}
	s.table = make([]*conn, count)
	for i := uint64(0); i < count; i++ {
		s.openAt(i)
	}
	var l laps
	begin := time.Now()
	l.begin()
	for op := uint64(0); op < operations; op++ {
		i, what := s.r.below(count), s.r.below(4)
		switch what {
		case 0:
			s.closeAt(i)
			s.openAt(i)
		case 1:
			s.resizeAt(i)
		default:
			sum += s.touchAt(i)
		}
		if op%batch == batch-1 {
			l.next()
		}
	}
	printOps(operations, begin)
	l.print()
	return sum
}

var connections = server{r: 2}

func runConnections() {
	count, operations, seconds := number(0), number(1), number(2)
	sum := connections.serve(count, operations)
	figure("live", "KiB", float64(connections.live)/1024)
	printSum(sum + connections.live)
	memory("full", 0)
	connections.table = nil
	runtime.GC()
	time.Sleep(time.Second)
	memory("dropped_1s", 0)
	time.Sleep(time.Duration(seconds-1) * time.Second)
	memory("dropped_end", 0)
	release()
	memory("released", 0)
}
