// Package devstack is the body of cmd/devstack: it starts NATS inside this
// process and PostgreSQL, the projector and the API as processes of their own,
// and plays a control plane whose accounts live. However it ends, killed hard
// too, what it started ends with it; data that is kept survives that.
package devstack
