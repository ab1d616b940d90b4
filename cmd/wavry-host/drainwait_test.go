package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaitForTheEndOfADrain(t *testing.T) {
	refused := errors.New("there is no drain")
	for name, c := range map[string]struct {
		left  []int // answers; -1 refuses
		limit time.Duration
		took  time.Duration
		want  error
	}{
		"no session":     {[]int{0}, time.Hour, 0, nil},
		"sessions end":   {[]int{2, 2, 1, 0}, time.Hour, 3 * time.Second, nil},
		"drain ended":    {[]int{2, -1}, time.Hour, time.Second, refused},
		"caller ends":    {[]int{2, 2, 2, 2, 2}, 2500 * time.Millisecond, 2500 * time.Millisecond, context.DeadlineExceeded},
		"nobody listens": {[]int{-1}, time.Hour, 0, refused},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), c.limit)
				defer cancel()
				asked, began := 0, time.Now()
				err := untilDrained(ctx, func(_ context.Context, method, path string, _, out any, _ io.Writer) error {
					if method != "GET" || path != "/v1/drain" {
						t.Errorf("%s %s", method, path)
					}
					n := c.left[asked]
					asked++
					if n < 0 {
						return refused
					}
					text, _ := json.Marshal(map[string]int{"sessions_left": n})
					return json.Unmarshal(text, out)
				})
				if took := time.Since(began); !errors.Is(err, c.want) || took != c.took {
					t.Errorf("got %v after %v; want %v after %v", err, took, c.want, c.took)
				}
			})
		})
	}
}
