// Package e2e tests the real programs as processes, on a real PostgreSQL and a
// real NATS server, against an independent implementation of the contract.
package e2e
