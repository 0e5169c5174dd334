// Package peers has, in the folders below it, what a team would build instead of the
// projector and the API: programs that fold the same stream into the same documents,
// each in the usual way of its kind. internal/bench runs them beside ours, as processes,
// in turns. They are a module of their own, so that no program of ours depends on
// Watermill.
//
//   - permessage takes one message at a time through a consumer with explicit
//     acknowledgements, and writes the account's document, a row of jsonb.
//   - watermill does the same by a handler of Watermill's router.
//   - batches takes up to 500 messages at a time, and writes them to six tables and the
//     checkpoint to a seventh, in one transaction.
//   - serve answers GET /v1/account/export from either.
//
// All of them apply every event type of the contract. What they leave out, and ours has:
// an event that comes before its entity does not wait for it, but is refused and logged;
// broken events are refused and logged, not kept; the limits of values are not checked,
// so that one which PostgreSQL refuses stops the program; an account with a second team
// gets it; a tombstone does not outlive its account's rows; JSON is PostgreSQL's jsonb
// (equal values, other spelling and order); there are no gaps that are reconciled, no
// second replica, no rebuild beside what is served, no position and no caching in HTTP.
package peers
