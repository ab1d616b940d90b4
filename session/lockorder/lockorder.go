// Package lockorder has mutexes whose order can be checked. In the daemon a Mutex is a sync.Mutex. In tests, Watch
// makes each one record which others its goroutine holds when it is locked, and Order returns the pairs that are not
// allowed.
//
// The order is text: the package that owns the locks writes it into its documentation, and its tests parse it from
// there.
package lockorder

import (
	"cmp"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Mutex is a mutual exclusion lock. Its zero value is unlocked. The name of T is that of all locks of its kind.
type Mutex[T any] struct {
	mu sync.Mutex
}

// watched is nil in the daemon. Tests set it once, before there are locks.
var watched atomic.Pointer[watch]

// Lock locks m.
func (m *Mutex[T]) Lock() {
	if watched.Load() != nil {
		m.note()
	}
	m.mu.Lock()
}

// note records that m is about to be locked.
func (m *Mutex[T]) note() { watched.Load().lock(name[T](), m) }

// TryLock locks m, if it is unlocked, and reports whether it did.
func (m *Mutex[T]) TryLock() bool {
	ok := m.mu.TryLock()
	if ok && watched.Load() != nil {
		m.note()
	}
	return ok
}

// Unlock unlocks m.
func (m *Mutex[T]) Unlock() {
	if w := watched.Load(); w != nil {
		w.unlock(m)
	}
	m.mu.Unlock()
}

// name returns the name of T without its package.
func name[T any]() string {
	text := fmt.Sprintf("%T", *new(T))
	return text[strings.LastIndexByte(text, '.')+1:]
}

// Pair is a lock that was taken while another was held.
type Pair struct{ Held, Taken string }

func (p Pair) String() string { return p.Held + " ─▶ " + p.Taken }

// watch is what was seen of all locks.
type watch struct {
	goroutine func() int64

	mu    sync.Mutex
	held  map[int64][]one // by goroutine
	pairs map[Pair]string // the stack of the first time
}

// one is a lock that is held.
type one struct {
	name string
	lock any
}

// Watch begins to record. It is for tests. goroutine returns the number of the goroutine that calls it.
func Watch(goroutine func() int64) {
	watched.CompareAndSwap(nil, &watch{
		goroutine: goroutine, held: make(map[int64][]one), pairs: make(map[Pair]string),
	})
}

// Pairs returns the pairs that were seen, and where each was seen first.
func Pairs() map[Pair]string {
	w := watched.Load()
	if w == nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.pairs)
}

func (w *watch) lock(name string, lock any) {
	g := w.goroutine()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, h := range w.held[g] {
		p := Pair{h.name, name}
		if _, known := w.pairs[p]; !known {
			stack := make([]byte, 8<<10)
			w.pairs[p] = string(stack[:runtime.Stack(stack, false)])
		}
	}
	w.held[g] = append(w.held[g], one{name, lock})
}

// unlock forgets a lock, whichever goroutine took it.
func (w *watch) unlock(lock any) {
	g := w.goroutine()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.forget(g, lock) {
		return
	}
	for other := range w.held {
		if w.forget(other, lock) {
			return
		}
	}
}

func (w *watch) forget(g int64, lock any) bool {
	i := slices.IndexFunc(w.held[g], func(h one) bool { return h.lock == lock })
	if i < 0 {
		return false
	}
	w.held[g] = slices.Delete(w.held[g], i, i+1)
	if len(w.held[g]) == 0 {
		delete(w.held, g)
	}
	return true
}

// Order says which locks may be taken while another is held.
type Order struct {
	after map[string]map[string]bool
}

// all stands for all locks except the locks that come after it.
const all = "*"

// arrow separates a lock from the locks that may be taken while it is held.
const arrow = "─▶"

// ParseOrder reads the lines of a text that have arrows. "a ─▶ b, c ─▶ d" says that b and c may be taken while a is
// held, and d while any of these is. A line that begins with an arrow continues with the first lock of the line before.
// The lock * stands for all locks except the locks that come after it.
func ParseOrder(text string) (Order, error) {
	o := Order{after: make(map[string]map[string]bool)}
	first := ""
	for line := range strings.Lines(text) {
		if !strings.Contains(line, arrow) {
			continue
		}
		columns := strings.Split(line, arrow)
		if head := strings.TrimSpace(columns[0]); head != "" {
			first = head
		}
		if first == "" {
			return Order{}, fmt.Errorf("lockorder: no lock comes before %q", strings.TrimSpace(line))
		}
		held := []string{first}
		for _, column := range columns[1:] {
			var taken []string
			for name := range strings.SplitSeq(column, ",") {
				if name = strings.TrimSpace(name); name != "" {
					taken = append(taken, name)
				}
			}
			if len(taken) == 0 {
				return Order{}, fmt.Errorf("lockorder: no lock follows in %q", strings.TrimSpace(line))
			}
			for _, h := range held {
				for _, t := range taken {
					o.allow(h, t)
				}
			}
			held = append(held, taken...)
		}
	}
	o.close()
	for last := range o.after[all] {
		if len(o.after[last]) > 0 {
			return Order{}, fmt.Errorf("lockorder: nothing may be taken while %s is held, which comes after all", last)
		}
	}
	for name, after := range o.after {
		if after[name] {
			return Order{}, fmt.Errorf("lockorder: %s comes before itself", name)
		}
	}
	return o, nil
}

func (o Order) allow(held, taken string) {
	if o.after[held] == nil {
		o.after[held] = make(map[string]bool)
	}
	o.after[held][taken] = true
}

// close adds what follows from the order: if b may follow a, and c may follow b, then c may follow a.
func (o Order) close() {
	for changed := true; changed; {
		changed = false
		for a, after := range o.after {
			for b := range after {
				for c := range o.after[b] {
					if !o.after[a][c] {
						o.after[a][c], changed = true, true
					}
				}
			}
		}
	}
}

// Names returns the locks of the order.
func (o Order) Names() []string {
	seen := make(map[string]bool)
	for held, after := range o.after {
		seen[held] = true
		for taken := range after {
			seen[taken] = true
		}
	}
	delete(seen, all)
	var names []string
	for n := range seen {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// Violations returns the pairs that the order does not allow.
func (o Order) Violations(pairs map[Pair]string) []Pair {
	var bad []Pair
	for p := range pairs {
		last := o.after[all]
		if allowed := o.after[p.Held][p.Taken] || last[p.Taken] && !last[p.Held]; !allowed {
			bad = append(bad, p)
		}
	}
	slices.SortFunc(bad, func(a, b Pair) int { return cmp.Or(cmp.Compare(a.Held, b.Held), cmp.Compare(a.Taken, b.Taken)) })
	return bad
}
