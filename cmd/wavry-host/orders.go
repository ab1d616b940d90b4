package main

import (
	"errors"
	"fmt"
	"log/slog"

	"wavryhost/session/api/durable"
	"wavryhost/session/hoststate"
)

// ordersFile is the file, in the state folder, of what operators have ordered of the host: cordon and drain.
const ordersFile = "orders.json"

// ordersOf returns what was ordered of the daemon before, and the function that keeps it for the next one. A file that
// cannot be read or understood is reported, and the host takes sessions; the next order replaces the file.
func ordersOf(env []string, log *slog.Logger) (hoststate.Orders, func(hoststate.Orders) error) {
	path := inState(ordersFile, env)
	if path == "" {
		return hoststate.Orders{}, func(hoststate.Orders) error {
			return errors.New("there is no state folder: set HOME or XDG_STATE_HOME")
		}
	}
	durable.Tidy(path)
	s, err := readOrders(path)
	if err != nil {
		log.Error("cordon and drain of the daemon before are unknown: the host takes sessions", "err", err,
			"remedy", "give the order again: wavry-host cordon, or wavry-host drain")
	}
	return s, func(s hoststate.Orders) error { return writeStateFile(path, s) }
}

// readOrders reads the file at path, which may be missing.
func readOrders(path string) (hoststate.Orders, error) {
	var s hoststate.Orders
	if err := readStateFile(path, &s); err != nil {
		return hoststate.Orders{}, err
	}
	if err := s.Validate(); err != nil {
		return hoststate.Orders{}, fmt.Errorf("%s is not understood: %w", path, err)
	}
	return s, nil
}
