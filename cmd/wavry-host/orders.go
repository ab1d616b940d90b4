package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"wavryhost/session"
	"wavryhost/session/api/durable"
)

// ordersFile is the file, in the state folder, of what operators have ordered of the host: cordon and drain.
const ordersFile = "orders.json"

// maxOrders bounds that file, in bytes.
const maxOrders = 64 << 10

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
	return s, func(s session.Orders) error {
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		return durable.Replace(path, append(text, '\n'))
	}
}

// readOrders reads the file at path, which may be missing.
func readOrders(path string) (session.Orders, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return session.Orders{}, nil
	case err != nil:
		return session.Orders{}, err
	case !info.Mode().IsRegular() || info.Size() > maxOrders:
		return session.Orders{}, fmt.Errorf("%s is not a file of at most %d bytes", path, maxOrders)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return session.Orders{}, err
	}
	var s session.Orders
	if err = json.Unmarshal(text, &s); err == nil {
		err = s.Validate()
	}
	if err != nil {
		return session.Orders{}, fmt.Errorf("%s is not understood: %w", path, err)
	}
	return s, nil
}
