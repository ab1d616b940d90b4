//go:build !cgo

package pressure

// nvidiaDrivers returns none: NVIDIA's library is called through cgo.
func nvidiaDrivers() []driver { return nil }
