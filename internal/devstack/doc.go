// Package devstack is the implementation of cmd/devstack. It runs NATS inside this
// process, and PostgreSQL, the projector, the console, the relay and the API as child
// processes, and simulates a control plane whose accounts keep changing.
//
// The events come in as those of a real one would. What has happened to its accounts
// before is a file, which `projector import` publishes. From then on it writes events to
// an outbox in its own database, in the transactions that change its state, and
// `projector relay` publishes them. A run on kept data goes on with both.
//
// [Simulate] is that control plane alone, for where the other parts run otherwise.
//
// However it ends, by SIGKILL too, its children end with it, and the lock of its
// folder is released. Data that is to be kept survives that. If one of the parts ends
// by itself, [Run] ends with an error that names it and shows the end of its log.
package devstack
