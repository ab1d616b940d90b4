// Release describes, signs and checks a release. scripts/release builds it; docs/develop/release.md explains the steps.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/alecthomas/kong"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var grammar struct {
		SBOM       sbomCmd          `cmd:"" name:"sbom" help:"Print the CycloneDX bill of materials of a program."`
		Manifest   manifestCmd      `cmd:"" help:"Print the manifest of a folder with the files of a release."`
		Provenance provenanceCmd    `cmd:"" help:"Write how the files of a release were made, as SLSA provenance."`
		Image      imageCmd         `cmd:"" help:"Write the image for containers, as an archive of an OCI image layout."`
		Sign       signCmd          `cmd:"" help:"Sign the files of a release."`
		Verify     verifyCmd        `cmd:"" help:"Verify the signatures of a release."`
		Key        repositoryKeyCmd `cmd:"" name:"repository-key" help:"Check the key of the package repositories."`
		Check      checkCmd         `cmd:"" help:"Make each check of the list, and say whether the release may go out."`
	}
	parser := kong.Must(&grammar, kong.Name("release"), kong.UsageOnError())
	selected, err := parser.Parse(os.Args[1:])
	parser.FatalIfErrorf(err)
	selected.BindTo(ctx, (*context.Context)(nil))
	if err := selected.Run(); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1) //nolint:gocritic // the deferred stop only restores the signal
	}
}
