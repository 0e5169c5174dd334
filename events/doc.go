// Package events is the wire contract of the control plane's events: decoding,
// validation, and a constructor for every event. It knows neither NATS nor
// PostgreSQL, has no state, and is safe for concurrent use.
//
// # Publishing
//
// A producer makes a [Message] with the constructor of its event, such as
// [NewUserRegistered], and publishes its Subject and Data with JetStream, under the
// header that [Message.NATSHeader] gives, which has the event's id as Nats-Msg-Id.
// [NewMeta] gives an event of now its id and time; [NewUUID] makes ids of teams and
// keys. The examples show an account from its registration to its export. Producers in
// modules and languages of their own are in the folder examples of the repository, and
// package exporttest runs what they publish to in a test.
//
// An account has a document once its user, its team and that team's quota tier are
// there, in any order: what comes early waits.
//
// The acknowledgement means that the stream has the message, and will keep it: the
// event has happened. It does not mean that it is folded, which takes place a moment
// later. Its sequence is the event's position. A client that sends that as
// min_position with its GET gets a document that holds the event, or 503.
//
// Without an acknowledgement nobody knows. Publish the same message again, with the
// same id, until there is one: within the stream's window for duplicates, two minutes
// by default, JetStream drops the second one, and acknowledges the first's sequence.
// Later than that the event is in the stream twice. The fold knows no ids: what
// creates something is then a duplicate and changes nothing, what sets something
// sets it again, over what came since, and quota_usage.incremented adds twice.
//
// Events of one account are folded in the order of the stream. A producer that
// waits for each acknowledgement before it publishes the account's next event has
// them in its own order.
//
// # What is guaranteed
//
// [Decode] judges a message by itself alone (contract §1 and §2, in the order
// of §3) and never panics. It ends in one of three ways:
//
//   - an [*Invalid]: the message is to be parked. It says which field, what was
//     found there (shortened, printable), and what would be right; [Invalid.Masked]
//     says it without anything that came out of the message.
//   - no error and no Data: the envelope is sound and the type unknown.
//   - no error and Data: every rule of the table holds for it.
//
// The subject is returned either way. What needs the account's state (another
// team, a sum past its limit, an erased account) is not judged here.
//
// An [Event] does not refer to the payload's memory.
//
// What a constructor returns, Decode accepts and gives back as it was handed in
// (objects without white space between tokens), in structured mode and after
// [Message.Binary]. What Decode would refuse, constructors and [Address] refuse,
// with an [*Invalid] too. Constructors also refuse what was never set: a UUID of
// zeros, and a time that is the zero [Time] or that of the zero [time.Time], which
// Decode accepts like any other.
//
// Numbers are exact: [Decimal] counts millionths, [Time] microseconds. Objects
// are carried as they came, white space between tokens aside.
//
// # Where the contract leaves room
//
//   - Attributes that are looked at are JSON strings without control characters
//     (C0, DEL and C1). Others are ignored, whatever they hold.
//   - datacontenttype, data and data_base64 are judged for a known type only,
//     their JSON kind included. Still, all of a structured payload must be
//     sound JSON, whatever the type; a binary one of an unknown type is not
//     read.
//   - A structured payload must be an object. Several Content-Type headers: the
//     first decides the mode, in the order of their names as spelled; as
//     datacontenttype of a binary message they are bad. The mode is decided by
//     the header as it stands, not percent-decoded.
//   - Header names are compared without the case of ASCII letters only. An
//     attribute of ours given twice, under one name or under two that differ in
//     case, is bad; where ce-datacontenttype is given, Content-Type is not
//     looked at.
//   - A batch content type is refused whatever the payload.
//   - A JSON media type is type and subtype as tokens (RFC 9110), of which the
//     subtype is json or ends in +json with something before it. Everything
//     from the first semicolon on is put aside, and so is white space around
//     what is left.
//   - Times: an offset of at most 23:59 either way, -00:00 included; any number
//     of digits in the fraction. The year is judged in UTC, so a time of the
//     local year 0000 or 9999 may be in or out. Dates: years 0001 to 9999.
//   - An Object's size is counted from its bracket to its bracket, as sent,
//     white space included.
//   - A literal such as 00 or -0 is no Integer, 1.0000000 (seven digits) no
//     Decimal.
//   - In flags, a name may hold U+0000, and be empty.
//   - The nesting of a binary payload is counted from its own first bracket.
//   - data that is a JSON text of JSON is no object. The CloudEvents Go SDK writes
//     that in structured mode for content types other than application/json and
//     text/json, such as application/x+json: use one of those two there. It also
//     leaves out percent-encoding in binary mode, so that an id of its that holds
//     "%41" is read as "A".
//
// # In other languages
//
// [Fields] says what fields a type has. Package schemas has a JSON Schema of each
// type, made from that.
//
// # Adding an event type
//
// The constant, the struct and its Type method go into payload.go; its
// reading, where that is more than a line, and its constructor into the file of
// its entity (user.go, team.go, …); one line each into registered and Types in
// registry.go; its words for readers into schemas/internal/generate/words.go. The
// tests name what is still missing: a row in contract_table_test.go, which says the
// contract a second time, and a random value in generate_types_test.go.
package events
