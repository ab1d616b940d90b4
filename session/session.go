package session

// session is one session and its end. The registry's mutex guards the fields.
type session struct {
	*viewer
	wanted bool      // it asked to be ended
	why    EndReason // the reason
	note   string    // the words of the operator who ended it
	ending bool
	done   chan struct{} // closed when everything is released
}
