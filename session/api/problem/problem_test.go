package problem

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCodes(t *testing.T) {
	all := Codes()
	if len(all) != len(table()) {
		t.Errorf("%d codes; want %d", len(all), len(table()))
	}
	for _, c := range all {
		if c.Status() < 400 || c.Meaning() == "" {
			t.Errorf("%s has status %d and the meaning %q", c, c.Status(), c.Meaning())
		}
	}
	if !slices.IsSortedFunc(all, func(a, b Code) int { return a.Status() - b.Status() }) {
		t.Errorf("codes are not sorted by status: %v", all)
	}
}

func TestRetryAfterIsAtLeastASecond(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "1", time.Millisecond: "1", 1500 * time.Millisecond: "2"} {
		if got := New(Full, "full").RetryAfter(d).Header.Get("Retry-After"); got != want {
			t.Errorf("Retry-After for %v is %s; want %s", d, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	if got := Shorten("short"); got != "short" {
		t.Errorf("got %q", got)
	}
	if got := Shorten(strings.Repeat("x", 1000)); len(got) > 310 || !strings.HasSuffix(got, "…") {
		t.Errorf("got %d bytes", len(got))
	}
}
