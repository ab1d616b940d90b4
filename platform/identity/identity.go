// Package identity identifies this machine, permanently and without revealing the system's own ID.
package identity

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown means that the system gives its machine no identity.
var ErrUnknown = errors.New("identity: this machine has no id of its own")

// app makes IDs specific to this program. The system's ID of a machine is the seed of other IDs, and must stay
// confidential (machine-id(5)).
const app = "d9ceb56ff5501018c616fc82e3d8dd52"

// Machine returns 32 hexadecimal digits that are unique to this machine and this program. They stay the same until the
// system is reinstalled. Machines that were cloned as a whole share them.
func Machine() (string, error) {
	text, err := read()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrUnknown, err)
	}
	return derive(text)
}

// derive derives the ID from the system's, as sd_id128_get_machine_app_specific(3) does.
func derive(text string) (string, error) {
	machine, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(text), "-", ""))
	if err != nil || len(machine) != 16 {
		return "", fmt.Errorf("%w: the system's ID is not 32 hexadecimal digits", ErrUnknown)
	}
	own, err := hex.DecodeString(app)
	if err != nil {
		return "", fmt.Errorf("identity: %w", err)
	}
	mac := hmac.New(sha256.New, machine)
	mac.Write(own)
	id := mac.Sum(nil)[:16]
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // a UUID of version 4 (RFC 9562, section 5.4)
	return hex.EncodeToString(id), nil
}
