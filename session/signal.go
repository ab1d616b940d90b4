package session

// signal has room for one token: something has changed since the last look.
type signal chan struct{}

func newSignal() signal { return make(signal, 1) }

// raise puts the token in. It never waits.
func (s signal) raise() {
	select {
	case s <- struct{}{}:
	default:
	}
}
