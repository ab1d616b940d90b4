package session

import (
	"crypto/rand"
	"strings"
)

// newID returns an id that cannot be guessed.
func newID() string { return strings.ToLower(rand.Text()) }
