package auth

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wavryhost/session/api/grant"
)

func TestRevocationsAreBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), "revocations.json")
	now := time.Now()
	l, err := newRevocations(path, time.Minute, now)
	if err != nil {
		t.Fatal(err)
	}
	for n := range MaxRevocations - 1 {
		// Characters with the longest escapes in JSON.
		l.list.Grants.add("i", fmt.Sprintf("%05d%s", n, strings.Repeat("\x01", 123)), now)
	}
	if err := l.add(now, "i", "99999"+strings.Repeat("\x01", 123), ""); err != nil {
		t.Fatal(err)
	}
	if err := l.add(now, "i", "x", ""); !errors.Is(err, ErrTooManyRevoked) {
		t.Errorf("there is no bound: %v", err)
	}
	if err := l.add(now, "i", "00000"+strings.Repeat("\x01", 123), ""); err != nil {
		t.Errorf("what is remembered already: %v", err)
	}
	again, err := newRevocations(path, time.Minute, now)
	if err != nil || again.list.Grants.size() != MaxRevocations {
		t.Fatalf("the largest file is not read: %v", err)
	}
	if err := again.add(now.Add(time.Hour), "i", "x", ""); err != nil || again.list.Grants.size() != 1 {
		t.Errorf("%d are remembered after all have expired, %v", again.list.Grants.size(), err)
	}
}

// A clock that was set back does not make a grant valid again.
func TestRevocationsOfTheFutureCount(t *testing.T) {
	now := time.Now()
	l, err := newRevocations("", 24*time.Hour, now)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.add(now.Add(48*time.Hour), "i", "j1", ""); err != nil {
		t.Fatal(err)
	}
	l.forget(now)
	if !l.has(grant.Grant{Issuer: "i", ID: "j1"}) {
		t.Error("it was forgotten")
	}
}
