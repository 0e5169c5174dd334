//go:build unix

package main

import (
	"io"
	"testing"

	"github.com/spf13/cobra"

	"accountexport/internal/cli/clitest"
	"accountexport/internal/settings"
)

func TestMain(m *testing.M) { clitest.Main(m, "devstack", main) }

// theProgram is devstack's command line; what it runs is tested in internal/devstack.
func theProgram() clitest.Program {
	return clitest.Program{
		Name: settings.ForDevstack, Root: func() *cobra.Command { return commands(nil, io.Discard, io.Discard).Root }, Run: run,
		Settings: map[string]clitest.Values{
			"DATABASE_URL":        {Right: "postgres://127.0.0.1:1/x", Wrong: "postgres://u:hunter2@127.0.0.1:port/x"},
			"OUTBOX_DATABASE_URL": {Right: "postgres://127.0.0.1:1/y", Wrong: "postgres://u:hunter2@127.0.0.1:port/y"},
			"ADMIN_ADDR":          {Right: "127.0.0.1:0", Wrong: "9094"},
			"JWT_SECRET":          {Right: "a secret of more than 32 bytes for tests", Wrong: "short"},
			"JWT_ISSUER":          {Right: "https://issuer.example/auth/v1", Wrong: "issuer.example"},
		},
	}
}

func TestFlagsOverrideTheEnvironment(t *testing.T) { theProgram().FlagsOverride(t) }

func TestSecretsAreHidden(t *testing.T) { theProgram().SecretsAreHidden(t) }

func TestHelpNeedsNothing(t *testing.T) { theProgram().HelpNeedsNothing(t) }

func TestDocumentedCallsAreRight(t *testing.T) { theProgram().DocumentedCallsAreRight(t, "../..") }

func TestScripts(t *testing.T) { clitest.Scripts(t, nil) }

func TestScriptsShowEveryCommand(t *testing.T) { clitest.Covered(t, theProgram().Root()) }
