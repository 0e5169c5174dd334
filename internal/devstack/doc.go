// Package devstack is the implementation of cmd/devstack. It runs NATS inside this
// process, and PostgreSQL, the projector and the API as child processes, and
// simulates a control plane whose accounts keep changing.
//
// However it ends, by SIGKILL too, its children end with it, and the lock of its
// folder is released. Data that is to be kept survives that. If one of the parts ends
// by itself, [Run] ends with an error that names it and shows the end of its log.
package devstack
