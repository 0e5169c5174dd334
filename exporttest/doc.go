// Package exporttest runs the whole system in a Go test, so that a control plane can
// test what becomes of the events that it publishes:
//
//	x := exporttest.Start(t)
//	position := x.Publish(t, message) // or let the code under test publish to x.NATSURL
//	doc := x.Export(t, account, exporttest.After(position))
//
// Everything is real: a NATS server in this process, with the stream as `projector
// provision` creates it; a database on a real PostgreSQL; `projector run` and `api` as
// processes with their own defaults, except for LANES, which is 1, so that the position
// of a quota tier's event can be waited for with any account.
//
// # What a test needs
//
// Linux, the go command, and PostgreSQL: the one of DATABASE_URL, whose role has to have
// CREATEDB, or else PostgreSQL's own binaries. Root may run the tests; the server then
// runs as another user. Without PostgreSQL a test is skipped, with the line
// that installs it, or fails where CI is set.
//
// Each Start has a stream, a database and programs of its own, so tests may run in
// parallel. They share one PostgreSQL server, which is stopped when no test of the
// package needs it any more. Tests that run one after the other keep it, and are faster
// by its start, where the package has
//
//	func TestMain(m *testing.M) { os.Exit(exporttest.Main(m)) }
//
// # What it costs
//
// The programs are built by the go command, from the module that this package is in,
// into the user's cache: a few seconds after a change of them, under one otherwise, once
// a package. Starting PostgreSQL takes about a second, once a package, and each Start
// about another. Nothing is left behind when the test ends, passed or failed, except the
// programs in the cache. No process outlives a test binary that is killed; its temporary
// files stay.
package exporttest
