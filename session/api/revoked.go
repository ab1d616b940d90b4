package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
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

// revocations is the file. Both have the time of the revocation.
type revocations struct {
	Version  int                  `json:"version"`
	Grants   map[string]time.Time `json:"grants"`   // by id
	Subjects map[string]time.Time `json:"subjects"` // by name
}

const revocationsVersion = 1

// newRevoked reads the file, which need not be there yet.
func newRevoked(path string, lifetime time.Duration, now time.Time) (*revoked, error) {
	l := &revoked{path: path, lifetime: lifetime, list: revocations{
		Version: revocationsVersion, Grants: make(map[string]time.Time), Subjects: make(map[string]time.Time),
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
	case len(list.Grants)+len(list.Subjects) > maxRevoked:
		return fmt.Errorf("it has more than %d revocations", maxRevoked)
	}
	l.list = list
	return nil
}

// has tells whether a grant was revoked.
func (l *revoked) has(g grant.Grant) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.list.Grants[g.ID]; ok {
		return true
	}
	at, ok := l.list.Subjects[g.Subject]
	// An issuer whose clock is ahead has issued what it says that it will issue. Nothing later than that was good when the subject was revoked.
	return ok && !g.Issued.After(at.Add(grant.Leeway))
}

// add revokes a grant, or what a subject has. It returns errTooManyRevoked, and nothing is revoked, or the error of writing the file, in spite of which
// it is until the daemon ends.
func (l *revoked) add(now time.Time, id, subject string) error {
	l.disk.Lock()
	defer l.disk.Unlock()
	list, ok := l.enter(now, id, subject)
	if !ok {
		return errTooManyRevoked
	}
	if l.path == "" {
		return nil
	}
	return l.write(list)
}

// enter remembers a revocation, and returns all.
func (l *revoked) enter(now time.Time, id, subject string) (revocations, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(now)
	grants, subjects := maps.Clone(l.list.Grants), maps.Clone(l.list.Subjects)
	if id != "" {
		grants[id] = now
	}
	if subject != "" {
		subjects[subject] = now
	}
	if len(grants)+len(subjects) > maxRevoked {
		return revocations{}, false
	}
	// What is handed out to be written is not changed any more.
	l.list = revocations{revocationsVersion, grants, subjects}
	return l.list, true
}

// forget gives up what no grant can be about any more. The caller holds mu, or has l for itself. A date in the future, by a clock that was put back since, is kept.
func (l *revoked) forget(now time.Time) {
	old := func(_ string, at time.Time) bool { return now.Sub(at) > l.lifetime }
	grants, subjects := maps.Clone(l.list.Grants), maps.Clone(l.list.Subjects)
	maps.DeleteFunc(grants, old)
	maps.DeleteFunc(subjects, old)
	l.list.Grants, l.list.Subjects = grants, subjects
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
