package api

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
	// maxRevoked bounds what is remembered of revocations.
	maxRevoked = 10_000
	// maxRevokedFile bounds the file of it, in bytes: each entry has a name of at most 128 bytes, six times as many where JSON escapes them, and a time.
	maxRevokedFile = maxRevoked * 1024
)

// errTooManyRevoked: no more is remembered.
var errTooManyRevoked = errors.New("too many revocations")

// revoked remembers what was revoked, for as long as a grant can live that it is about: in memory, and in a file for the time after a restart.
type revoked struct {
	path string // empty for no file
	// lifetime is how long something is remembered.
	lifetime time.Duration

	// disk is held while the file is written, and taken before mu. Requests do not wait for the disk.
	disk sync.Mutex
	mu   sync.Mutex // guards list
	list revocations
}

// revocations is the file. Both have the time of the revocation, by issuer. What one issuer calls a grant or a subject says nothing of another's.
type revocations struct {
	Version  int   `json:"version"`
	Grants   names `json:"grants"`   // by id
	Subjects names `json:"subjects"` // by name
}

// names are times by issuer and name.
type names map[string]map[string]time.Time

// clone returns a copy that has none of its maps in common, without those that are old.
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

// newRevoked reads the file, which need not be there yet.
func newRevoked(path string, lifetime time.Duration, now time.Time) (*revoked, error) {
	l := &revoked{path: path, lifetime: lifetime, list: revocations{
		Version: revocationsVersion, Grants: make(names), Subjects: make(names),
	}}
	if path == "" {
		return l, nil
	}
	durable.Tidy(path)
	text, err := readBounded(path, maxRevokedFile)
	if errors.Is(err, fs.ErrNotExist) {
		// That it can be written is found out here, not at the first revocation.
		if err := l.write(l.list); err != nil {
			return nil, err
		}
		return l, nil
	}
	if err == nil {
		err = l.parse(text)
	}
	if err != nil {
		// To go on without would make good again what was revoked.
		return nil, fmt.Errorf("%s: %w; restore the file, or, to have the grants of the last %v good again that were revoked, remove it", path, err, lifetime)
	}
	l.forget(now)
	return l, nil
}

func (l *revoked) parse(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	var list revocations
	if err := d.Decode(&list); err != nil || d.More() {
		return errors.New("it is no list of revocations")
	}
	switch {
	case list.Version != revocationsVersion:
		return fmt.Errorf("it is a list of revocations of version %d; this daemon reads version %d", list.Version, revocationsVersion)
	case list.Grants == nil || list.Subjects == nil:
		return errors.New("it is a list of revocations without grants or subjects")
	case list.Grants.size()+list.Subjects.size() > maxRevoked:
		return fmt.Errorf("it has more than %d revocations", maxRevoked)
	}
	l.list = list
	return nil
}

// has tells whether a grant was revoked.
func (l *revoked) has(g grant.Grant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.list.Grants[g.Issuer][g.ID]; ok {
		return true
	}
	at, ok := l.list.Subjects[g.Issuer][g.Subject]
	// An issuer whose clock is ahead has issued what it says that it will issue. Nothing later than that was good when the subject was revoked.
	return ok && !g.Issued.After(at.Add(grant.Leeway))
}

// add revokes a grant of an issuer, or what a subject has of it. It returns errTooManyRevoked, and nothing is revoked, or the error of writing the file, in spite of which
// it is until the daemon ends.
func (l *revoked) add(now time.Time, issuer, id, subject string) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	list, ok := l.enter(now, issuer, id, subject)
	if !ok {
		return errTooManyRevoked
	}
	if l.path == "" {
		return nil
	}
	return l.write(list)
}

// enter remembers a revocation, and returns all.
func (l *revoked) enter(now time.Time, issuer, id, subject string) (revocations, bool) {
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
	if grants.size()+subjects.size() > maxRevoked {
		return revocations{}, false
	}
	// What is handed out to be written is not changed any more.
	l.list = revocations{revocationsVersion, grants, subjects}
	return l.list, true
}

// forget gives up what no grant can be about any more. The caller holds mu, or has l for itself. A date in the future, by a clock that was put back since, is kept.
func (l *revoked) forget(now time.Time) {
	old := func(at time.Time) bool { return now.Sub(at) > l.lifetime }
	l.list.Grants, l.list.Subjects = l.list.Grants.clone(old), l.list.Subjects.clone(old)
}

// write replaces the file at once: after a crash there is the old one or the new one.
func (l *revoked) write(list revocations) error {
	text, err := json.Marshal(list)
	if err == nil {
		err = durable.Replace(l.path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write revocations: %w", err)
	}
	return nil
}
