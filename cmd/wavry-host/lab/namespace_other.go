//go:build !linux

package lab

import (
	"net/netip"
	"os"
)

type place struct {
	name            string
	address         netip.Addr
	network, device *os.File
}

func newPlace(string, netip.Addr, int) (*place, error) { return nil, errNotLinux }

func (p *place) within(func() error) error { return errNotLinux }

func (p *place) close() {}
