// Package e2e tests the real programs as processes, on a real PostgreSQL and real
// NATS servers, against an independent implementation of the contract
// (internal/oracle). A file's name begins with its area:
//
//   - harness: what all tests share. A system is a NATS server, a database and the
//     programs' settings; the rest starts programs, runs commands, publishes, waits,
//     backs up and restores, and compares documents with the oracle's.
//   - run: `projector run`: kills, faults, shutdown, replicas that share partitions,
//     pausing, memory, metrics.
//   - api: what clients of the API see.
//   - fold: fold and counts compared with the oracle, over random streams.
//   - stream: what can be wrong with the stream or the account on it: identity,
//     permissions, limits, subject transform. stream_refused: the exit statuses 11
//     to 16. stream_loss: lost messages, and accepting the loss.
//   - erase: erasing an account, and the ledger of erasures.
//   - restored: the stream, the database or both come from a backup.
//   - rebuild, refold, verify, parked, status: the commands of that name, new
//     projection versions and rolling upgrades.
//   - database: PostgreSQL's settings, logins, poolers, standbys and failover.
//   - operators: a seeded random series of what operators do, beside traffic.
//   - chaos: every part fails at random.
//   - console: the operator's console, before a real Chromium.
//   - terminal: what asks or draws on a terminal.
//   - documents: every block of shell commands in the documents.
//
// A test that compares documents publishes a workload, waits until it is projected,
// does something to it, and calls checkAgainstOracle. A test of a command calls
// mustRun or checkRun with the exit status and a text that it has to print.
package e2e
