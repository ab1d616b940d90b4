package encode

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"wavryhost/platform/child"
)

// Check is a property of an encoder that was tried on this machine.
type Check struct {
	Name string `json:"name"`
	// Failed reports whether the encoder does not have the property. Skipped reports whether it was not tried.
	Failed  bool `json:"failed,omitempty"`
	Skipped bool `json:"skipped,omitempty"`
	// Detail has the figures, or the reason.
	Detail string `json:"detail"`
}

// Verification is the result of all checks of an encoder.
type Verification struct {
	Proof  Proof   `json:"proof"`
	Checks []Check `json:"checks,omitempty"`
}

// maxVerification bounds the output of a program that verifies an encoder, in bytes.
const maxVerification = 64 << 10

// VerifyInChild runs a program that verifies an encoder and writes the Verification to its standard output as JSON. A
// driver that crashes or hangs affects only that program.
func VerifyInChild(ctx context.Context, argv []string, deadline time.Duration) (v Verification, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, deadline, fmt.Errorf("%w within %v", errUnfinished, deadline))
	defer cancel()
	stdout, stderr := &child.Output{Max: maxVerification}, &child.Output{Max: maxStderr, Last: true}
	err = child.Run(ctx, child.Command{
		Program: argv[0], Args: argv[1:], Keep: driverVariables, Stdout: stdout, Stderr: stderr,
		Limits: child.Limits{Memory: maxMemory, Files: 256},
	})
	switch {
	case ctx.Err() != nil:
		return v, withLastLine(context.Cause(ctx), stderr.Bytes())
	case err != nil:
		return v, withLastLine(fmt.Errorf("verifying process: %w", err), stderr.Bytes())
	}
	if err := json.Unmarshal(stdout.Bytes(), &v); err != nil {
		return Verification{}, withLastLine(fmt.Errorf("verifying process wrote no result: %w", err), stderr.Bytes())
	}
	return v, nil
}
