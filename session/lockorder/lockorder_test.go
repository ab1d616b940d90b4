package lockorder

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/petermattis/goid"
)

type (
	ledger  struct{}
	account struct{}
	audit   struct{}
)

const order = `
Some words, and then:

	ledger  ─▶ account
	*       ─▶ audit
`

// TestViolationsAreFound takes locks in the right order and in wrong ones: each wrong pair is found, with the place.
func TestViolationsAreFound(t *testing.T) {
	Watch(goid.Get)
	o, err := ParseOrder(order)
	if err != nil {
		t.Fatal(err)
	}
	if got := o.Names(); !slices.Equal(got, []string{"account", "audit", "ledger"}) {
		t.Errorf("the order has %v", got)
	}
	var l Mutex[ledger]
	var a, b Mutex[account]
	var c Mutex[audit]
	l.Lock()
	a.Lock()
	c.Lock()
	l.Unlock() // in any order
	c.Unlock()
	a.Unlock()
	l.Lock()
	var other sync.WaitGroup
	other.Go(func() { // holds nothing of what this goroutine holds
		a.Lock()
		defer a.Unlock()
	})
	other.Wait()
	l.Unlock()
	if bad := o.Violations(Pairs()); len(bad) != 0 {
		t.Fatalf("%v are found in the right order", bad)
	}
	if got, want := len(Pairs()), 3; got != want {
		t.Errorf("%d pairs were seen; want %d: %v", got, want, Pairs())
	}

	c.Lock()
	a.Lock() // after audit
	if b.TryLock() {
		b.Unlock() // beside another of its kind
	}
	a.Unlock()
	c.Unlock()
	want := []Pair{{"account", "account"}, {"audit", "account"}}
	bad := o.Violations(Pairs())
	if !slices.Equal(bad, want) {
		t.Fatalf("found %v; want %v", bad, want)
	}
	if at := Pairs()[want[1]]; !strings.Contains(at, "TestViolationsAreFound") {
		t.Errorf("found at %s", at)
	}
}

// A lock that one goroutine takes and another gives back is held by neither.
func TestLockGivenBackByAnother(t *testing.T) {
	Watch(goid.Get)
	var l Mutex[ledger]
	var c Mutex[audit]
	c.Lock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.Unlock()
	}()
	<-done
	l.Lock()
	l.Unlock() //nolint:staticcheck // the pair is what is tested
	if _, seen := Pairs()[Pair{"audit", "ledger"}]; seen {
		t.Error("it counts as held")
	}
}

func TestOrdersThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"a circle":       "a ─▶ b\nb ─▶ c\nc ─▶ a",
		"nothing first":  "─▶ b",
		"nothing after":  "a ─▶",
		"after the last": "* ─▶ a\na ─▶ b",
	} {
		if _, err := ParseOrder(text); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func BenchmarkMutex(b *testing.B) {
	if watched.Load() != nil {
		b.Skip("locks are watched; use -run '^$'")
	}
	b.Run("sync", func(b *testing.B) {
		var m sync.Mutex
		for b.Loop() {
			m.Lock()
			m.Unlock() //nolint:staticcheck // what is measured
		}
	})
	b.Run("ordered", func(b *testing.B) {
		var m Mutex[ledger]
		for b.Loop() {
			m.Lock()
			m.Unlock() //nolint:staticcheck // what is measured
		}
	})
}

// The library reads a field of the runtime. A release of Go that moves it must not pass unseen.
func TestGoroutinesHaveTheNumbersOfTheirTraces(t *testing.T) {
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() {
			var trace [64]byte
			text := string(trace[:runtime.Stack(trace[:], false)])
			if want := fmt.Sprintf("goroutine %d ", goid.Get()); !strings.HasPrefix(text, want) {
				t.Errorf("the trace is %q; want %q first", text, want)
			}
		})
	}
	all.Wait()
}
