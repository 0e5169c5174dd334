// Package connect is how a program connects to the database, however that is set up
// and whatever pooler is in between.
//
// A [Connector] finds out at start whether both go with the program's settings, makes
// the settings of each session, and opens a pool of as many connections as there is
// room for. What needs a session of its own (LISTEN, membership, locks) may connect
// another way than the pool, by DATABASE_DIRECT_URL. [OpenAPIPool] is the pool of the
// API, whose connections end by themselves where the network is lost.
//
// # What an error means
//
// [ErrMisconfigured]: waiting does not help, and the error says which setting, grant
// or limit would do; every program ends by it at start. Every other error is that the
// server cannot be reached yet, which programs wait out. After an error nothing is
// open.
//
// The package reads PostgreSQL's own catalogues and no table of ours. Nothing is
// changed but the settings of its connections. All programs use it.
package connect
