package main

import "wavryhost/session/api/auth"

// tokenCmd is "wavry-host token".
type tokenCmd struct {
	Name string `arg:"" help:"Name of the owner, for the audit log."`
	Role string `arg:"" help:"Role: viewer, controller, operator or metrics."`
	// Limits are checked by the API, which reads them from the file.
	Limits []string `arg:"" optional:"" help:"Limits: displays=x11:*,… networks=192.0.2.0/24,… until=2027-01-31T18:00:00Z."` //nolint:lll // a struct tag is one line
}

// Run is called by kong.
func (c *tokenCmd) Run(a *app) error {
	token, line, err := auth.NewToken(c.Name, c.Role, c.Limits...)
	if err != nil {
		return &coded{exitUsage, err}
	}
	say(a.stdout, "token: %s\nline for auth.tokens_file: %s\n", token, line)
	return nil
}
