package simulate

import (
	"bufio"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

const (
	traceGrain = 5 * time.Millisecond
	// traceMost bounds what a trace may ask for: an hour.
	traceMost = time.Hour
)

// ReadMahimahi reads a trace of Mahimahi's: on each line a time in milliseconds, not falling, at which 1500 bytes can
// be delivered. The trace repeats from its last time on, up to length. Deliveries are evened out over 5 ms.
func ReadMahimahi(r io.Reader, length time.Duration) (Capacity, error) {
	const bitsEach = 1500 * 8
	var counts []int
	last, line := time.Duration(0), 0
	scanner := bufio.NewScanner(r)
	for scanner.Scan() {
		line++
		text := strings.TrimSpace(scanner.Text())
		if text == "" {
			continue
		}
		ms, err := strconv.ParseUint(text, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("simulate: trace line %d: %q is not a time in milliseconds", line, text)
		}
		at := time.Duration(ms) * time.Millisecond
		if at < last {
			return nil, fmt.Errorf("simulate: trace line %d: %d ms is before the line above it", line, ms)
		}
		if at > traceMost {
			return nil, fmt.Errorf("simulate: trace line %d: %d ms is beyond an hour", line, ms)
		}
		last = at
		slot := int(at / traceGrain)
		for len(counts) <= slot {
			counts = append(counts, 0)
		}
		counts[slot]++
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("simulate: trace line %d: %w", line+1, err)
	}
	if last == 0 {
		return nil, fmt.Errorf("simulate: trace has no delivery after 0 ms; it needs one time in milliseconds a line")
	}
	var c Capacity
	for at := time.Duration(0); at < length; at += traceGrain {
		rate := float64(counts[int(at/traceGrain)%len(counts)]) * bitsEach / traceGrain.Seconds()
		if len(c) == 0 || c[len(c)-1].BitsPerSecond != rate {
			c = append(c, Step{at, rate})
		}
	}
	return c, nil
}

// Cellular returns a capacity as a moving phone sees it: its logarithm wanders around the mean (an Ornstein-Uhlenbeck
// process with a time constant of 2 s and the deviation given, in natural logarithms), and now and then it fades to a
// tenth for 100 to 500 ms. It is our own model, by seed.
func Cellular(seed uint64, mean, deviation float64, fadesPerMinute float64, length time.Duration) Capacity {
	const (
		grain = 50 * time.Millisecond
		tau   = 2 * time.Second
	)
	random := rand.New(rand.NewPCG(seed, 0xce11))
	pull := grain.Seconds() / tau.Seconds()
	x, fade := 0.0, time.Duration(0)
	var c Capacity
	for at := time.Duration(0); at < length; at += grain {
		x += -x*pull + deviation*math.Sqrt(2*pull)*random.NormFloat64()
		rate := mean * math.Exp(x-deviation*deviation/2)
		if fade <= 0 && random.Float64() < fadesPerMinute/60*grain.Seconds() {
			fade = 100*time.Millisecond + time.Duration(random.Float64()*float64(400*time.Millisecond))
		}
		if fade > 0 {
			rate /= 10
			fade -= grain
		}
		c = append(c, Step{at, rate})
	}
	return c
}
