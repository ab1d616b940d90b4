package wire

import (
	"math/rand/v2"
	"testing"
	"time"

	"wavryhost/adapt"
)

// sized sends frames of 4.1 kB over a path, with feedback every 50 ms, and returns the size after each second.
func sized(seconds int, lose func(size int, at time.Duration) bool) (sizes []int) {
	s := packetSize{}
	s.begin(1200)
	begin := time.Unix(1000, 0)
	for at := time.Duration(0); at < time.Duration(seconds)*time.Second; {
		f := adapt.Feedback{Kind: adapt.TWCC}
		for range 3 { // frames
			for left := 4100; left > 0; left -= s.size {
				size := min(left, s.size)
				p := adapt.Packet{Size: size, Lost: lose(size, at)}
				f.Packets = append(f.Packets, p)
			}
			at += time.Second / 60
		}
		f.At = begin.Add(at)
		s.report(f)
		for len(sizes) < int(at/time.Second) {
			sizes = append(sizes, s.size)
		}
	}
	return sizes
}

func TestPathsThatDropLargePackets(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name  string
		lose  func(size int, at time.Duration) bool
		first int // after a second
		last  int
	}{
		{"a clean path", func(int, time.Duration) bool { return false }, 1200, 1200},
		{"all over 1100 bytes", func(size int, _ time.Duration) bool { return size > 1100 }, 1000, 1000},
		{"all over 900", func(size int, _ time.Duration) bool { return size > 900 }, 800, 800},
		{"all over 600", func(size int, _ time.Duration) bool { return size > 600 }, 576, 576},
		{"half of all", func(int, time.Duration) bool { return random.IntN(2) == 0 }, 1200, 1200},
		{"nine of ten, as with a queue that is full", func(int,
			time.Duration,
		) bool {
			return random.IntN(10) > 0
		}, 1200, 1200},
		{"all over 1100, and a third of the others", func(size int, _ time.Duration) bool {
			return size > 1100 || random.IntN(3) == 0
		}, 1000, 1000},
		{"everything for two seconds", func(_ int, at time.Duration) bool { return at < 2*time.Second }, 1200, 1200},
		{"all over 1100 from the second minute on", func(size int, at time.Duration) bool {
			return size > 1100 && at > time.Minute
		}, 1200, 1000},
	} {
		t.Run(c.name, func(t *testing.T) {
			sizes := sized(70, c.lose)
			if sizes[0] != c.first || sizes[len(sizes)-1] != c.last {
				t.Errorf("size %d after a second, %d at last; want %d and %d",
					sizes[0], sizes[len(sizes)-1], c.first, c.last)
			}
		})
	}
}
