// SPDX-License-Identifier: GPL-2.0-only

// frag.c in Go: frag MIB typed [SECONDS]
package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unsafe"
)

const keep = 16

type head struct {
	next *head
	size int
}

// Of mixed sizes; what follows the head holds no pointers.
type (
	e0 struct {
		head
		_ [8]byte
	}
	e1 struct {
		head
		_ [24]byte
	}
	e2 struct {
		head
		_ [40]byte
	}
	e3 struct {
		head
		_ [72]byte
	}
	e4 struct {
		head
		_ [104]byte
	}
	e5 struct {
		head
		_ [168]byte
	}
	e6 struct {
		head
		_ [232]byte
	}
	e7 struct {
		head
		_ [360]byte
	}
	l0 struct {
		head
		_ [16]byte
	}
	l1 struct {
		head
		_ [32]byte
	}
	l2 struct {
		head
		_ [56]byte
	}
	l3 struct {
		head
		_ [88]byte
	}
	l4 struct {
		head
		_ [136]byte
	}
	l5 struct {
		head
		_ [200]byte
	}
	l6 struct {
		head
		_ [296]byte
	}
	l7 struct {
		head
		_ [456]byte
	}
)

func of[T any](get func(*T) *head) func() *head {
	return func() *head {
		t := new(T)
		h := get(t)
		h.size = int(unsafe.Sizeof(*t))
		return h
	}
}

var early = []func() *head{
	of(func(t *e0) *head { return &t.head }), of(func(t *e1) *head { return &t.head }),
	of(func(t *e2) *head { return &t.head }), of(func(t *e3) *head { return &t.head }),
	of(func(t *e4) *head { return &t.head }), of(func(t *e5) *head { return &t.head }),
	of(func(t *e6) *head { return &t.head }), of(func(t *e7) *head { return &t.head }),
}

var late = []func() *head{
	of(func(t *l0) *head { return &t.head }), of(func(t *l1) *head { return &t.head }),
	of(func(t *l2) *head { return &t.head }), of(func(t *l3) *head { return &t.head }),
	of(func(t *l4) *head { return &t.head }), of(func(t *l5) *head { return &t.head }),
	of(func(t *l6) *head { return &t.head }), of(func(t *l7) *head { return &t.head }),
}

var (
	table []*head
	live  int
	seed  uint64 = 1
)

func draw(below int) int {
	seed ^= seed << 13
	seed ^= seed >> 7
	seed ^= seed << 17
	return int((seed >> 11) % uint64(below))
}

func memory() float64 {
	text, err := os.ReadFile("/proc/self/smaps_rollup")
	if err != nil {
		return 0
	}
	for _, line := range strings.Split(string(text), "\n") {
		var kb int
		if n, _ := fmt.Sscanf(line, "Pss: %d", &kb); n == 1 {
			return float64(kb) / 1024
		}
	}
	return 0
}

func show(phase string) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	mib := func(b uint64) float64 { return float64(b) / 1048576 }
	fmt.Printf("%s live %.1f heap %.1f meta %.1f memory %.1f\n", phase, mib(uint64(live)),
		mib(m.HeapSys-m.HeapReleased), mib(m.GCSys+m.MSpanSys+m.MCacheSys), memory())
}

func fill(bytes int) {
	for live < bytes {
		h := early[draw(len(early))]()
		live += h.size
		table = append(table, h)
	}
	show("filled")
}

func thinOut() {
	kept := make([]*head, 0, len(table)/keep+1)
	live = 0
	for i := 0; i < len(table); i += keep {
		if j := i + draw(keep); j < len(table) {
			kept = append(kept, table[j])
			live += table[j].size
		}
	}
	table = kept
}

func mutate(seconds float64) {
	end := time.Now().Add(time.Duration(seconds * 1e9))
	for time.Now().Before(end) {
		for i := 0; i < 1000; i++ {
			h := late[draw(len(late))]()
			if draw(10) != 0 {
				continue
			}
			at := &table[draw(len(table))]
			live += h.size - (*at).size
			*at = h
		}
	}
}

func argument(i int, otherwise float64) float64 {
	if len(os.Args) <= i {
		return otherwise
	}
	f, err := strconv.ParseFloat(os.Args[i], 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	return f
}

func main() {
	fill(int(argument(1, 256)) << 20)
	thinOut()
	runtime.GC()
	show("kept")
	debug.FreeOSMemory()
	show("compacted")
	mutate(argument(3, 60))
	show("mutated")
	debug.FreeOSMemory()
	show("again")
}
