package simulate

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"wavryhost/adapt"
)

func TestCapacityIsIntegrated(t *testing.T) {
	c := Capacity{{0, 1e6}, {time.Second, 0}, {2 * time.Second, 2e6}}
	for _, s := range []struct {
		from time.Duration
		bits float64
		want time.Duration
	}{
		{0, 5e5, 500 * time.Millisecond},
		{0, 1.5e6, 2250 * time.Millisecond},
		{1500 * time.Millisecond, 2e6, 3 * time.Second},
	} {
		if got := c.finish(s.from, s.bits); (got - s.want).Abs() > time.Microsecond {
			t.Errorf("%g bits from %v end at %v; want %v", s.bits, s.from, got, s.want)
		}
	}
	if got := c.Bits(500*time.Millisecond, 3*time.Second, 1.5e6); math.Abs(got-2e6) > 1 {
		t.Errorf("%g bits are carried at 1.5 Mbit/s at most; want 2e6", got)
	}
}

func carry(l Link, n, size int, every time.Duration) (arrived []time.Duration, queues []time.Duration) {
	w := &world{random: newRandom(1)}
	k := newLink(l, w)
	got := &collector{w: w}
	for i := range n {
		w.after(time.Duration(i)*every, &sender{w: w, l: k, to: got, size: size}, 0, nil)
	}
	w.run(time.Hour)
	return got.at, got.queues
}

type sender struct {
	w    *world
	l    *link
	to   actor
	size int
}

func (s *sender) fire(int, *packet) {
	s.w.send(&packet{size: s.size, route: []*link{s.l}, to: s.to})
}

type collector struct {
	w      *world
	at     []time.Duration
	queues []time.Duration
}

func (c *collector) fire(_ int, p *packet) {
	c.at = append(c.at, c.w.now)
	c.queues = append(c.queues, p.queue)
}

func TestQueueDelaysAndDrops(t *testing.T) {
	// 10 packets of 1250 bytes at once on 1 Mbit/s: 10 ms each, and room for 50 ms.
	at, queues := carry(Link{Capacity: Constant(1e6), Queue: 50 * time.Millisecond, Delay: 20 * time.Millisecond}, 10,
		1250, 0)
	if len(at) != 5 {
		t.Fatalf("%d packets arrive; want the 5 that the queue holds", len(at))
	}
	for i := range at {
		if want := time.Duration(i) * 10 * time.Millisecond; queues[i] != want || at[i] != want+30*time.Millisecond {
			t.Errorf("packet %d waits %v and arrives at %v; want %v and %v", i, queues[i], at[i], want, want+30*time.Millisecond)
		}
	}
}

func TestPolicerDropsWhatExceedsIt(t *testing.T) {
	// 2 Mbit/s offered to 1 Mbit/s with a bucket of 10 packets, for 10 s.
	at, _ := carry(Link{Capacity: Constant(1e9), Queue: time.Second, Police: 1e6, PoliceBurst: 12_500}, 2000, 1250,
		5*time.Millisecond)
	if len(at) < 1000 || len(at) > 1015 {
		t.Errorf("%d of 2000 packets pass; want 1000 to 1015", len(at))
	}
}

func TestLossIsAsAsked(t *testing.T) {
	for _, burst := range []float64{0, 10} {
		at, _ := carry(Link{Capacity: Constant(1e9), Queue: time.Second, Loss: 0.1, Burst: burst}, 50_000, 1000,
			time.Millisecond)
		if lost := 1 - float64(len(at))/50_000; math.Abs(lost-0.1) > 0.015 {
			t.Errorf("with bursts of %g, %.3f are lost; want 0.1", burst, lost)
		}
	}
}

func TestRunsAreTheSameAgain(t *testing.T) {
	for _, c := range Cases() {
		if c.Name != "5.8" && c.Name != "reordered" {
			continue
		}
		var runs [2]*Result
		for i := range runs {
			r, err := Run(c, 3, Own)
			if err != nil {
				t.Fatal(err)
			}
			runs[i] = r
		}
		for i := range runs[0].Flows {
			if !reflect.DeepEqual(runs[0].Flows[i], runs[1].Flows[i]) {
				t.Errorf("%s: flow %d differs between two runs of one seed", c.Name, i)
			}
		}
	}
}

func TestMahimahiTrace(t *testing.T) {
	c, err := ReadMahimahi(strings.NewReader("0\n1\n2\n\n9\n"), 20*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	// Three deliveries in the first 5 ms, one in the second, and again.
	want := Capacity{
		{0, 7.2e6}, {5 * time.Millisecond, 2.4e6}, {10 * time.Millisecond, 7.2e6}, {15 * time.Millisecond, 2.4e6},
	}
	for i := range want {
		if i >= len(c) || c[i].At != want[i].At || math.Abs(c[i].BitsPerSecond-want[i].BitsPerSecond) > 1 {
			t.Fatalf("capacity is %v; want %v", c, want)
		}
	}
	for text, where := range map[string]string{
		"": "no delivery", "5\nx\n": "line 2", "5\n4\n": "line 2",
		"-1\n": "line 1", "99999999\n": "line 1",
	} {
		if _, err := ReadMahimahi(strings.NewReader(text), time.Second); err == nil || !strings.Contains(err.Error(), where) {
			t.Errorf("%q gives %v; want an error that names %s", text, err, where)
		}
	}
}

func FuzzReadMahimahi(f *testing.F) {
	f.Add("0\n5\n10\n")
	f.Add("1\n1\n1\n3600000\n")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ReadMahimahi(strings.NewReader(text), time.Second)
		if err != nil {
			return
		}
		last := time.Duration(-1)
		for _, s := range c {
			if s.At <= last || s.BitsPerSecond < 0 {
				t.Fatalf("capacity %v is not in order", c)
			}
			last = s.At
		}
	})
}

func TestDrawingIsXML(t *testing.T) {
	r, err := Run(step(), 1, Own)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.DrawSVG(&b); err != nil {
		t.Fatal(err)
	}
	paths := 0
	for d := xml.NewDecoder(&b); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "path" {
			paths++
		}
	}
	if paths < 8 {
		t.Errorf("the drawing has %d lines; want the grid, capacity, target, sent and queue", paths)
	}
}

func TestBadConfigIsNamed(t *testing.T) {
	c := step()
	c.Flows[0].Config = adapt.Config{Min: 1}
	if _, err := Evaluate(c, 1, 2, Own); err == nil || !strings.Contains(err.Error(), "step") {
		t.Errorf("a flow that cannot work gives %v; want an error that names the case", err)
	}
}

// 100 s of one flow.
func BenchmarkRun(b *testing.B) {
	c := variable(50*time.Millisecond, "5.1", Gate{}, 0, 0, 0, 0)
	for b.Loop() {
		if _, err := Run(c, 1, Own); err != nil {
			b.Fatal(err)
		}
	}
}

// TestTimeInStatesAddsUp sums what the transitions say of how long each state lasted.
func TestTimeInStatesAddsUp(t *testing.T) {
	for _, c := range Cases() {
		if c.Name != "step" && c.Name != "outage" && c.Name != "oscillating" {
			continue
		}
		r, err := Run(c, 1, Own)
		if err != nil {
			t.Fatal(err)
		}
		f := r.Flows[0]
		if len(f.Transitions) == 0 {
			t.Fatalf("%s: no transition", c.Name)
		}
		var sum time.Duration
		for i, x := range f.Transitions {
			sum += x.Dwell
			if since := x.At.Sub(epoch); sum != since {
				t.Errorf("%s: transition %d is %v after the start, the states before it lasted %v", c.Name, i, since, sum)
			}
			if i > 0 && x.From != f.Transitions[i-1].To {
				t.Errorf("%s: transition %d leaves %v, and the one before entered %v", c.Name, i, x.From, f.Transitions[i-1].To)
			}
		}
	}
}
