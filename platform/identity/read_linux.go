package identity

import "os"

// file is where systemd, and systems without it, keep the machine ID (machine-id(5)).
const file = "/etc/machine-id"

func read() (string, error) {
	b, err := os.ReadFile(file)
	return string(b), err
}
