// Package connect is how a program comes to the database. However that is set up,
// and whatever pooler is in between, a [Connector] finds out at start whether it goes
// with what the program was told ([ErrMisconfigured]), makes the settings of each
// session, and opens a pool of as many connections as there is room for. What
// needs a session of its own may go another way than the pool.
package connect
