//go:build !cgo

package pressure

// nvidiaDrivers returns none: NVIDIA's library is loaded through cgo.
func nvidiaDrivers() []driver { return nil }
