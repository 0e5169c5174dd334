// Package stream is the event store on NATS JetStream: provisioning, reading
// in order, publishing, and the guard against a stream that lost history.
//
// Reading acknowledges nothing: progress is the read model's checkpoint and
// nothing else. A reader yields strictly ascending positions and never skips a
// message that is in the stream; where it cannot be sure of that, it ends with
// an error, and reading begins anew. A message that its server counts as there
// and cannot give is passed over by a plain reader; [ReconcilingSource] tells of it.
//
// # NATS permissions
//
// Where the server restricts them, the user of each command publishes on these
// subjects, and subscribes to _INBOX.>, where answers come. S is the stream, C a
// copy that is to be purged, and READ/C what READ is of it. API is NATS_JS_PREFIX,
// where that is set, $JS.<NATS_JS_DOMAIN>.API, where the server is in another
// domain, and else $JS.API. What is missing is named at once. A command that is
// not here asks NATS nothing. `internal/e2e` runs each on a server that grants exactly
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
//
// A producer publishes as `publish` does, and on nothing else.
package stream
