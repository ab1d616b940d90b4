//go:build !linux

package lab

import (
	"errors"
	"net/netip"
	"os"
)

var errNotLinux = errors.New("lab: network namespaces exist on Linux only")

type place struct {
	name            string
	address         netip.Addr
	network, device *os.File
}

func newPlace(string, netip.Addr, int) (*place, error) { return nil, errNotLinux }

func (p *place) within(func() error) error { return errNotLinux }

func (p *place) close() {}
