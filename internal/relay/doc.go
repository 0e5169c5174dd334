// Package relay publishes what waits in an outbox ([accountexport/outbox]) to the
// stream: each event exactly once, and those of one subject in their order, whatever
// fails on the way. `projector relay` runs it.
//
// # How
//
// One relay works at a time: the one that holds an advisory lock of the database, on
// the one connection over which it does all that changes the outbox. Others stand by.
// The one that works takes windows of messages: it fetches them, notes where the
// stream ends (search_from), publishes them by [accountexport/internal/ingest], and
// removes what is acknowledged.
//
// What an earlier relay has sent is not known, where it was killed between sending
// and removing. So whoever takes over first reads the stream from search_from to its
// end, and removes from the outbox what it finds there by its Nats-Msg-Id. What was
// still on its way then meets the conditions that ingest publishes under: of all
// attempts with a message one is stored. Nothing relies on the stream's window for
// duplicates.
//
// The lock keeps relays from doing the work of others; it is not what keeps events
// from being doubled. One that was frozen, and goes on when another has taken over,
// can note nothing any more, since the other has another epoch, and what it sends
// beside the other is stored once: see ingest.
//
// Which stream this is, is on disk before anything is sent to it. Other notes and
// removals need not be: PostgreSQL loses the last of them in a crash, with all that was
// committed after, and what is left is a state from before, from which all that was
// published since is found, as search_from only grows. Writers' commits have to be on
// disk: what one with synchronous_commit = off has written may be published, and lost
// in the crash.
//
// # Order
//
// What waits is mostly looked for behind what was published some seconds ago, since an
// event of a transaction that stayed open for long is rare. Where something waits on the
// same subject further before, it is looked for from the start, so none is passed over.
//
// # Messages that are refused
//
// A message that JetStream refuses whenever it is sent, such as one that is too large,
// holds up its own subject only, since what comes after it must not come before it. So
// does one of which the row was changed by hand, so that its header cannot be read, or
// its number is lower than one before it. It is on record in outbox.refused, and is tried
// again every half minute: a limit may be raised. Whoever removes it from
// outbox.messages gives the event up.
//
// # Messages that are removed
//
// Somebody may remove messages that wait. What the relay has fetched by then, up to
// Options.Window messages, it publishes all the same. It holds an advisory lock of its
// own meanwhile: outbox.forget removes what waits of a subject and takes that lock once,
// after which none of it is published any more. A relay that is cut off from either server
// in the middle of a window does not hold the lock any more, and what it has sent may
// arrive later, as may what it sends until it notices.
//
// # What others wait for
//
// A window is published to its end before the next one is fetched. So an event waits,
// beside its own subject's, for the windows before it: where thousands of one subject
// wait, which are published one after the other, for up to Options.Window of those. Each
// message that is refused for the first time ends its window, and has the stream's end
// read: hundreds that are refused at once delay all others by some 70 ms each.
package relay
