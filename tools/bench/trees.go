// SPDX-License-Identifier: GPL-2.0-only

// trees.c in Go: trees DEPTH [TREES]
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

type node struct {
	left, right *node
	value       int
}

var kept *node

func tree(depth int) *node {
	n := &node{value: depth}
	if depth > 0 {
		n.left = tree(depth - 1)
		n.right = tree(depth - 1)
	}
	return n
}

func (n *node) count() int {
	if n == nil {
		return 0
	}
	return 1 + n.left.count() + n.right.count()
}

// See bench_idle() in bench.h.
func idle() time.Duration {
	var user, nice, system, idle, iowait int64
	f, err := os.Open("/proc/stat")
	if err != nil {
		return 0
	}
	defer f.Close()
	fmt.Fscanf(f, "cpu %d %d %d %d %d", &user, &nice, &system, &idle, &iowait)
	return time.Duration(idle+iowait) * 10 * time.Millisecond
}

func argument(i, otherwise int) int {
	if len(os.Args) <= i {
		return otherwise
	}
	n, err := strconv.Atoi(os.Args[i])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return n
}

func main() {
	var before, after runtime.MemStats
	depth := argument(1, 14)
	trees := argument(2, 1<<21>>depth)
	objects := 2<<depth - 1

	kept = tree(depth)
	runtime.GC()
	runtime.ReadMemStats(&before)
	idleBefore, begun := idle(), time.Now() // of CLOCK_MONOTONIC
	for i := 0; i < trees; i++ {
		if tree(depth).count() != objects {
			fmt.Println("a tree is damaged")
			os.Exit(1)
		}
	}
	t := time.Since(begun) - (idle() - idleBefore)
	runtime.ReadMemStats(&after)
	if kept.count() != objects {
		fmt.Println("the kept tree is damaged")
		os.Exit(1)
	}
	fmt.Printf("objects %d\ninstructions %.1f\npeak %d\ncycles %d\n", trees*objects,
		float64(t)/float64(trees*objects), after.HeapSys, after.NumGC-before.NumGC)
}
