// Package stream is the event store on NATS JetStream: provisioning, reading
// in order, publishing, and the guard against a stream that lost history.
//
// Reading acknowledges nothing: progress is the read model's checkpoint and
// nothing else. A reader yields strictly ascending positions and never skips a
// message that is in the stream; where it cannot be sure of that, it ends with
// an error, and reading begins anew. A message that its server counts as there
// and cannot give is passed over by a plain reader; [Reconciled] tells of it.
//
// NATS permissions, where the server restricts them (S is the stream, and
// replies come on _INBOX.>, which every client subscribes to):
//
//   - a reader publishes on $JS.API.STREAM.INFO.S, $JS.API.STREAM.MSG.GET.S,
//     $JS.API.CONSUMER.CREATE.S.>, $JS.API.CONSUMER.MSG.NEXT.S.> and
//     $JS.API.CONSUMER.DELETE.S.>
//   - provisioning also publishes on $JS.API.STREAM.CREATE.S and, where the
//     stream has no id, on $JS.API.STREAM.UPDATE.S
//   - erasing, and accepting or rebuilding where erasures are carried out anew,
//     also publishes on $JS.API.STREAM.PURGE.S, $JS.API.STREAM.MSG.DELETE.S,
//     $JS.API.STREAM.LIST and controlplane.account.*; for each copy C that is to
//     be purged what a reader publishes on, and the first two, with C for S
//   - a producer publishes on controlplane.account.* and
//     controlplane.quota_tier.*, and on nothing else
package stream
