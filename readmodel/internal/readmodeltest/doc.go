// Package readmodeltest is what tests of the read model share: a migrated database
// of the test's own on a real PostgreSQL, an account that is folded and committed
// message by message, replicas on one database, and streams in memory.
//
// Whatever fails ends the test.
package readmodeltest
