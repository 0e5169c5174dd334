// Package ingest publishes many events so that the stream holds each exactly
// once, and those of one subject in order, whatever fails on the way: lost
// acknowledgements, lost connections, a server that is killed, this process
// killed and begun again, strangers that publish on the same subjects meanwhile.
// `projector import` and `projector relay` publish with it.
//
// # How
//
// Of one subject one message at a time is without an answer; many subjects are
// at once. Each attempt is conditional: the server stores it only if the
// subject's last message is where the attempt says (the header
// Nats-Expected-Last-Subject-Sequence, which the stored message keeps). Where
// nobody knows what became of an attempt, the message is looked for in the stream
// by its Nats-Msg-Id, among its subject's messages after a position that was noted
// before the first attempt. Where it is not, it is sent again, under a condition
// that the looking has made true: should the earlier attempt still be on its way,
// at most one of the two is stored, however late the other one arrives. An answer
// that the condition does not hold leads to another look.
//
// So nothing relies on the stream's window for duplicates. The id is sent all the
// same; what the server drops by it counts as published only where the message
// that it names is this one.
//
// # What is not promised
//
// Ids are looked for after the noted position only: what somebody else published
// before it with the same id is not found, unless the server's window for
// duplicates still has it. Where an operator takes the stream's subject transform
// away or puts it back while an attempt is without an answer, the looking finds the
// message wherever it was stored, but an attempt that was delayed over that moment
// is not held back by its condition.
package ingest
