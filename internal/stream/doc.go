// Package stream is the event store on NATS JetStream: provisioning, reading in order,
// publishing, removing, and the guard against a stream that lost history.
//
// Reading acknowledges nothing: the only progress is the read model's checkpoint. A
// reader yields strictly ascending positions and never skips a message that is in the
// stream. Where it cannot be sure of that, it ends with an error, and a reader opened
// after the last position goes on. A message that the server counts as present and
// cannot deliver is skipped by a reader of [Client]; [ReconcilingSource] reports it.
//
// After an outage the client reconnects by itself, without end; a request to the API under way
// fails after at most 5 s. A request that the server refuses for lack of a permission
// fails at once, with [ErrPermission] and the subject. Positions are stream sequences,
// sizes are in bytes.
//
// # NATS permissions
//
// Where the server restricts them, the user of each command needs to publish on these
// subjects, and to subscribe to _INBOX.>, on which answers arrive. S is the stream, C a
// copy that is to be purged, and READ/C is READ for that copy. API is NATS_JS_PREFIX if
// that is set, $JS.<NATS_JS_DOMAIN>.API if the server is in another domain, and
// otherwise $JS.API. A missing permission is named at once. A command that is not listed
// sends NATS nothing. `internal/e2e` runs each command on a server that grants exactly
// these, and with each of them taken away.
//
//	READ                            API.STREAM.INFO.S  API.STREAM.MSG.GET.S  API.CONSUMER.CREATE.S.>
//	                                API.CONSUMER.MSG.NEXT.S.>  API.CONSUMER.DELETE.S.>
//	REMOVE                          API.STREAM.PURGE.S  API.STREAM.MSG.DELETE.S
//	ERASE                           READ  REMOVE  API.STREAM.LIST  controlplane.account.*
//
//	provision                       READ
//	provision of a new stream       READ  API.STREAM.CREATE.S
//	provision of one without an id  READ  API.STREAM.UPDATE.S
//	run                             READ
//	status                          READ
//	verify                          READ
//	export                          READ
//	history                         READ
//	check --against-stream          READ
//	refold                          READ
//	parked retry                    READ
//	rebuild                         READ
//	cutover                         READ
//	rollback                        READ
//	accept                          READ
//	accept that erases anew         ERASE
//	rebuild that erases anew        ERASE
//	erase                           ERASE
//	erase --purge-copies            ERASE  READ/C  REMOVE/C
//	erasures remove                 READ
//	publish                         controlplane.account.*  controlplane.quota_tier.*
//	import                          READ  controlplane.account.*  controlplane.quota_tier.*
//	relay                           READ  controlplane.account.*  controlplane.quota_tier.*
//
// A producer publishes on the same subjects as `publish`, and on no others. Its answers should
// arrive under a prefix of its own: whoever may subscribe to _INBOX.> hears all that the
// projector reads. doc/security.md has users for a server.
package stream
