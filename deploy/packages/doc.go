// Package packages holds what goreleaser makes packages of, as .goreleaser.yaml says, beside the units in deploy/systemd.
package packages
