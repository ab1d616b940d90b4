package service

import (
	"errors"
	"fmt"
	"net"

	"github.com/coreos/go-systemd/v22/activation"
)

// Listener returns the socket that systemd passes to a service with a socket unit.
func Listener() (net.Listener, error) {
	all, err := activation.Listeners()
	if err != nil {
		return nil, fmt.Errorf("service: socket of systemd: %w", err)
	}
	if len(all) != 1 || all[0] == nil {
		return nil, errors.New("service: systemd passed no socket; name one with --socket")
	}
	return all[0], nil
}
