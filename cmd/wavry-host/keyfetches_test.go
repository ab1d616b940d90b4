package main

import (
	"errors"
	"testing"
	"time"

	"wavryhost/session/api/grant"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestFetchesOfKeys(t *testing.T) {
	f := newKeyFetches(prometheus.NewRegistry())
	issuers := []grant.Config{{KeysFile: "a"}, {KeysURL: "https://b"}, {KeysURL: "https://c"}}
	f.follow(issuers[:1])
	if n := testutil.CollectAndCount(f.oldest); n != 0 {
		t.Errorf("%d times without keys to fetch", n)
	}
	f.follow(issuers)
	now := float64(time.Now().Unix())
	issuers[1].OnFetch(nil)
	if got := testutil.ToFloat64(f.oldest.WithLabelValues()); got != 0 {
		t.Errorf("last success %v before that of the second issuer; want 0", got)
	}
	issuers[2].OnFetch(errors.New("refused"))
	issuers[2].OnFetch(nil)
	if got := testutil.ToFloat64(f.oldest.WithLabelValues()); got < now {
		t.Errorf("last success %v; want now", got)
	}
	for result, want := range map[string]float64{fetchOK: 2, fetchFailed: 1} {
		if got := testutil.ToFloat64(f.results.WithLabelValues(result)); got != want {
			t.Errorf("%v fetches are %s; want %v", got, result, want)
		}
	}
}
