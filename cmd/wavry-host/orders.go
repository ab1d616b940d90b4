package main

import (
	"errors"
	"fmt"
	"log/slog"

	"wavryhost/session"
	"wavryhost/session/api/durable"
)

// ordersFile is the file, in the state folder, of what operators have ordered of the host: cordon and drain.
const ordersFile = "orders.json"

// ordersOf returns what was ordered of the daemon before, and the function that keeps it for the next one. A file that
// cannot be read or understood is reported, and the host takes sessions; the next order replaces the file.
func ordersOf(env []string, log *slog.Logger) (session.Orders, func(session.Orders) error) {
	path := inState(ordersFile, env)
	if path == "" {
		return session.Orders{}, func(session.Orders) error {
			return errors.New("there is no state folder: set HOME or XDG_STATE_HOME")
		}
	}
	durable.Tidy(path)
	s, err := readOrders(path)
	if err != nil {
		log.Error("cordon and drain of the daemon before are unknown: the host takes sessions", "err", err,
			"remedy", "give the order again: wavry-host cordon, or wavry-host drain")
	}
	return s, func(s session.Orders) error { return writeStateFile(path, s) }
}

// readOrders reads the file at path, which may be missing.
func readOrders(path string) (session.Orders, error) {
	var s session.Orders
	if err := readStateFile(path, &s); err != nil {
		return session.Orders{}, err
	}
	if err := s.Validate(); err != nil {
		return session.Orders{}, fmt.Errorf("%s is not understood: %w", path, err)
	}
	return s, nil
}
