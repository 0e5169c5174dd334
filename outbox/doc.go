// Package outbox writes events into the PostgreSQL database of a control plane, in
// the transaction that changes the state which they tell of: both are committed, or
// neither is. `projector relay` publishes them to JetStream, each exactly once, and
// those of one account in their order.
//
//	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
//		if _, err := tx.Exec(ctx, `UPDATE …`); err != nil {
//			return err
//		}
//		return outbox.Write(ctx, tx, event)
//	})
//	notifier.Committed()
//
// [Migrate] creates the tables. Triggers and other languages write by SQL functions:
//
//	SELECT outbox.write('controlplane.account.3c90c3cc-0d44-4b50-8888-8dd25736052a',
//	    jsonb_build_object('type', 'controlplane.user.email_changed.v1', 'source', '/control-plane',
//	        'data', jsonb_build_object('email', 'jsmith@example.com')))
//
// # What is guaranteed
//
// The events of a subject, which is an account or a quota tier, are numbered by a
// counter whose row the writing transaction locks until it ends. So the numbers have
// no gaps, also where transactions are rolled back, and an event becomes visible
// only after all that come before it: whatever anybody sees of a subject is a
// beginning of it. Events are published in that order, which is the order in which
// their transactions committed. Nothing is promised between subjects.
//
// Two transactions that write events of one account run one after the other, from
// the call of Write to the end: call it late. A transaction that stays open holds up
// the events of its own accounts, and of no others.
//
// What is published was committed. It is lost in a crash of PostgreSQL all the same where
// its transaction did not wait for the disk (synchronous_commit = off).
//
// An event waits for others' only in that the relay publishes up to 4,096 at a time:
// thousands of one subject, which go one after the other, delay the others' by as long
// as they take, and so do hundreds of events that JetStream refuses.
//
// A call locks the counters in the order of the subjects' names, so two calls do not
// wait for each other in a circle. A transaction that calls it twice may: PostgreSQL
// ends one of the two then (40P01), which can be tried again. Under REPEATABLE READ
// and SERIALIZABLE, two that write to one account at the same time are told so as
// always (40001).
//
// # Ids
//
// An event's id has to be one of its kind among all that are published to the
// stream, whatever their source, since it is sent as Nats-Msg-Id: by it the relay
// finds out what an earlier one has published. A random UUID, or the key of what has
// happened, will do. A second event with the id of one that waits is refused, by
// the table's constraint messages_id. One with the id of an event that is published
// is nobody's mistake that a database could see: it is published, too, or, within the
// stream's window for duplicates, refused where it differs, and taken for the same
// where it does not.
//
// # Traces
//
// Where the context of Write has a span of OpenTelemetry, events are written with the
// header traceparent, unless they have one, and are in the stream with it. By SQL, it is
// a header like others.
//
// # Erasure
//
// What waits is published, also of an account that is erased meanwhile. This removes
// what waits of it, and returns when nothing of it is on its way any more, for which a
// DELETE does not wait; it is called outside of a transaction, before the stream is
// purged, by a login that may delete from outbox.messages:
//
//	CALL outbox.forget('controlplane.account.3c90c3cc-0d44-4b50-8888-8dd25736052a')
//
// # Permissions
//
// Who writes needs no right to the tables:
//
//	GRANT USAGE ON SCHEMA outbox TO control_plane;
//	GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA outbox TO control_plane;
//
// The relay needs
//
//	GRANT USAGE ON SCHEMA outbox TO relay;
//	GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA outbox TO relay;
//	GRANT SELECT ON ALL SEQUENCES IN SCHEMA outbox TO relay;
package outbox
