package api

import (
	"sync"
	"time"
)

const (
	// Each network may make perAddress requests a second, and burstAddress at once; all of them together perHost and burstHost. A gateway that opens a few
	// hundred sessions at once stays below; who asks more often than that learns nothing by it.
	perAddress, burstAddress = 200, 1000
	perHost, burstHost       = 2000, 4000
)

// flood bounds the rate of requests. Networks share a bucket where their hashes do, which bounds the memory.
type flood struct {
	mu      sync.Mutex
	all     time.Time // when the requests so far are paid for
	buckets [wrongBuckets]time.Time
}

// wait takes in a request, and returns 0, or how long it comes too early.
func (f *flood) wait(now time.Time, bucket int) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d := early(now, f.buckets[bucket], time.Second/perAddress, burstAddress); d > 0 {
		return d
	}
	if d := early(now, f.all, time.Second/perHost, burstHost); d > 0 {
		return d
	}
	f.buckets[bucket] = later(now, f.buckets[bucket], time.Second/perAddress)
	f.all = later(now, f.all, time.Second/perHost)
	return 0
}

func early(now, owed time.Time, each time.Duration, burst int) time.Duration {
	return max(0, owed.Add(-time.Duration(burst-1)*each).Sub(now))
}

func later(now, owed time.Time, each time.Duration) time.Time {
	if owed.Before(now) {
		owed = now
	}
	return owed.Add(each)
}
