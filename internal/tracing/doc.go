// Package tracing has the programs' traces, by OpenTelemetry: where they are sent, what
// spans there are, and how a trace is passed on. Everything is off unless
// [Config.Endpoint] is set: then [Start] gives nil, and the methods of a nil *Tracing do
// nothing, allocate nothing and change no message.
//
// # What is guaranteed
//
// A collector that is away, slow or refuses never holds up what is traced: spans wait in
// a queue of 2,048, and what does not fit is dropped. [Tracing.Close] waits for the
// collector as long as its context lasts, and no longer than [FlushTimeout]. That spans
// are not delivered is logged once a minute at most.
//
// Spans hold no account's id, no e-mail address, no payload, no token, no value of a
// statement's parameters, and no text of an error of the database, which may hold such
// values: of an error there is its SQLSTATE.
//
// A traceparent of a message or of a request is somebody else's text. One that is not
// right is as good as none; a right one gives a link, and never decides whether
// something is traced, but where a proxy has sent it that is trusted.
//
// The batches of a projector are told by hooks of its engine ([Tracing.Batches]), so that
// OpenTelemetry is known here and to producers alone.
package tracing
