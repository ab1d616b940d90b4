package floor

// floorLock is the lock Control.mu. The documentation of package session has its place in the order of locks.
type floorLock struct{}
