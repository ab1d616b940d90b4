package fleet

import (
	"container/heap"
	"sync"
	"time"
)

// maxLater bounds the work that waits for its time.
const maxLater = 4096

// later is a bounded queue of work, each with its time. Any goroutine puts work in; one runs it.
type later struct {
	mu   sync.Mutex // guards work
	work tasks
	wake chan struct{} // capacity 1: the first task may have changed
}

type task struct {
	at time.Time
	do func()
}

func newLater() *later { return &later{wake: make(chan struct{}, 1)} }

// put adds work for a time. It reports whether there was room.
func (l *later) put(at time.Time, do func()) bool {
	l.mu.Lock()
	ok := len(l.work) < maxLater
	if ok {
		heap.Push(&l.work, task{at, do})
	}
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return ok
}

// due removes and returns the work whose time has come, and the time of the next; zero if there is none.
func (l *later) due(now time.Time) (list []func(), next time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.work) > 0 {
		if first := l.work[0]; first.at.After(now) {
			return list, first.at
		}
		t, _ := heap.Pop(&l.work).(task)
		list = append(list, t.do)
	}
	return list, time.Time{}
}

// tasks is a heap, the earliest task first.
type tasks []task

var _ heap.Interface = (*tasks)(nil)

func (t tasks) Len() int           { return len(t) }
func (t tasks) Less(i, j int) bool { return t[i].at.Before(t[j].at) }
func (t tasks) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }

// Push is for package heap.
func (t *tasks) Push(x any) {
	one, _ := x.(task)
	*t = append(*t, one)
}

// Pop is for package heap.
func (t *tasks) Pop() any {
	last := len(*t) - 1
	one := (*t)[last]
	(*t)[last] = task{}
	*t = (*t)[:last]
	return one
}
