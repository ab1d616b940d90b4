package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"wavryhost/session/api/durable"
	"wavryhost/session/api/grant"
)

const (
	// MaxRevocations bounds the revocations that are kept.
	MaxRevocations = 10_000
	// maxRevocationsFile bounds their file, in bytes. Each entry has a time and a name of at most 128 bytes, six times
	// as many where JSON escapes them.
	maxRevocationsFile = MaxRevocations * 1024
)

// ErrTooManyRevoked means that no further revocation can be kept.
var ErrTooManyRevoked = errors.New("too many revocations")

// revocations keeps what was revoked for as long as an affected grant can live: in memory, and in a file for the time
// after a restart.
type revocations struct {
	path string // empty for no file
	// lifetime is how long a revocation is kept.
	lifetime time.Duration

	// disk is held while the file is written, and taken before mu. Requests do not wait for the disk.
	disk sync.Mutex
	mu   sync.Mutex // guards list
	list revocationList
}

// revocationList is the content of the file: times of revocation by issuer and name. The IDs and subjects of one
// issuer mean nothing for another issuer.
type revocationList struct {
	Version  int   `json:"version"`
	Grants   names `json:"grants"`   // by ID
	Subjects names `json:"subjects"` // by name
}

// names are times by issuer and name.
type names map[string]map[string]time.Time

// clone returns a deep copy without the old entries.
func (n names) clone(old func(time.Time) bool) names {
	c := make(names)
	for issuer, list := range n {
		for name, at := range list {
			if !old(at) {
				c.add(issuer, name, at)
			}
		}
	}
	return c
}

func (n names) add(issuer, name string, at time.Time) {
	if n[issuer] == nil {
		n[issuer] = make(map[string]time.Time)
	}
	n[issuer][name] = at
}

func (n names) size() int {
	sum := 0
	for _, list := range n {
		sum += len(list)
	}
	return sum
}

const revocationsVersion = 2

// newRevocations reads the file, which need not exist yet.
func newRevocations(path string, lifetime time.Duration, now time.Time) (*revocations, error) {
	l := &revocations{path: path, lifetime: lifetime, list: revocationList{
		Version: revocationsVersion, Grants: make(names), Subjects: make(names),
	}}
	if path == "" {
		return l, nil
	}
	durable.Tidy(path)
	text, err := readBounded(path, maxRevocationsFile)
	if errors.Is(err, fs.ErrNotExist) {
		// If the file cannot be written, the operator learns it here, not at the first revocation.
		if err := l.write(l.list); err != nil {
			return nil, err
		}
		return l, nil
	}
	if err == nil {
		err = l.parse(text)
	}
	if err != nil {
		// Going on without the file would make revoked grants valid again.
		return nil, fmt.Errorf("%s: %w; restore the file, or remove it to accept again the grants that were revoked "+
			"in the last %v", path, err, lifetime)
	}
	l.forget(now)
	return l, nil
}

func (l *revocations) parse(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var list revocationList
	if err := d.Decode(&list); err != nil || d.More() {
		return errors.New("it is not a list of revocations")
	}
	switch {
	case list.Version != revocationsVersion:
		return fmt.Errorf("it is a list of revocations of version %d; this daemon reads version %d",
			list.Version, revocationsVersion)
	case list.Grants == nil || list.Subjects == nil:
		return errors.New("it is a list of revocations without grants or subjects")
	case list.Grants.size()+list.Subjects.size() > MaxRevocations:
		return fmt.Errorf("it has more than %d revocations", MaxRevocations)
	}
	l.list = list
	return nil
}

// has reports whether a grant was revoked.
func (l *revocations) has(g grant.Grant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.list.Grants[g.Issuer][g.ID]; ok {
		return true
	}
	at, ok := l.list.Subjects[g.Issuer][g.Subject]
	// An issuer whose clock is ahead dates its grants into the future. A grant that was valid when the subject was
	// revoked is dated at most grant.Leeway later.
	return ok && !g.Issued.After(at.Add(grant.Leeway))
}

// add revokes a grant of an issuer, or the grants that a subject has of it. See Authenticator.Revoke.
func (l *revocations) add(now time.Time, issuer, id, subject string) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	list, ok := l.enter(now, issuer, id, subject)
	if !ok {
		return ErrTooManyRevoked
	}
	if l.path == "" {
		return nil
	}
	return l.write(list)
}

// enter adds a revocation to the list, and returns the list.
func (l *revocations) enter(now time.Time, issuer, id, subject string) (revocationList, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now)
	none := func(time.Time) bool { return false }
	grants, subjects := l.list.Grants.clone(none), l.list.Subjects.clone(none)
	if id != "" {
		grants.add(issuer, id, now)
	}
	if subject != "" {
		subjects.add(issuer, subject, now)
	}
	if grants.size()+subjects.size() > MaxRevocations {
		return revocationList{}, false
	}
	// The returned list is written without the lock, so its maps are not changed any more.
	l.list = revocationList{revocationsVersion, grants, subjects}
	return l.list, true
}

// forget removes revocations that no grant can be affected by any more. A date in the future, from before the clock
// was set back, is kept. The caller holds mu, or is the only user of l.
func (l *revocations) forget(now time.Time) {
	old := func(at time.Time) bool { return now.Sub(at) > l.lifetime }
	l.list.Grants, l.list.Subjects = l.list.Grants.clone(old), l.list.Subjects.clone(old)
}

// write replaces the file atomically: after a crash there is the old file or the new one.
func (l *revocations) write(list revocationList) error {
	text, err := json.Marshal(list)
	if err == nil {
		err = durable.Replace(l.path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write revocations: %w", err)
	}
	return nil
}
