// Package check says what would become of events that are still in a file: for
// producers, above all in their CI.
//
// An input is JSON values one after the other, however they are laid out: a line each
// (NDJSON), pretty-printed, or with zero bytes between them; plain or gzip. Each value
// is one event, in one of these forms, told apart by what it holds:
//
//   - a structured CloudEvent, or the data that a producer takes for one;
//   - an object of subject, headers and data, as `projector import` takes it;
//   - what `nats sub SUBJECT --dump=-` and `--dump=DIRECTORY` print: Subject, Header
//     and Data, with subjects as published or as the stream stores them;
//   - what `nats stream get STREAM SEQUENCE --json` prints: subject, seq, hdrs, data;
//   - what `nats sub --raw` and `nats stream view --raw` print: payloads alone, which
//     are structured events, and nothing that can be judged in binary mode, whose
//     attributes are in headers.
//
// What is no JSON at all is an event, too: the projector would park it.
//
// A [Checker] decodes each event as the projector does and folds it after those that
// came before it, from an empty stream or from what the stream holds of its account.
// Hints say what is wrong where the reason for parking is typical of how an SDK was
// called. They never hold anything that came out of an event.
package check
