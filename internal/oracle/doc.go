// Package oracle is a second, independent implementation of the event
// contract: the plainest fold that could be right, slow on purpose, using
// nothing but the standard library. Tests, benchmarks and chaos runs hold the
// real implementation against it, so it shares no code with it and must never
// import it.
//
// Where the contract is silent, this package decides as follows.
//
// Decoding:
//
//   - datacontenttype, data and data_base64 are judged only for a known type,
//     their JSON kind included. An event that fails only there has a sound
//     envelope and is counted under its type.
//   - Of the other attributes, those that are looked at (specversion, id,
//     source, type, time, partitionkey) must be strings without control
//     characters (Unicode category Cc). All further attributes, and further
//     ce- headers, are ignored whatever they hold.
//   - Header names, Content-Type too, are compared without ASCII case. A header
//     without values is absent. Where Content-Type is given several times, one
//     that names a batch refuses the message, one that says structured makes it
//     structured; in binary mode it is then a datacontenttype given twice.
//   - A batch is refused whatever the payload and the other headers.
//   - The mode is judged on Content-Type as sent; as datacontenttype it is
//     percent-decoded like every header of binary mode.
//   - A JSON media type is two RFC 9110 tokens with a slash between, the second
//     json or something+json, white space on either side set aside.
//   - A time whose written year is 0000 is sound where its UTC year is not
//     (0000-12-31T23:30:00-01:00); a date of year 0000 is not. The fraction may
//     have any number of digits; those after the sixth are cut off.
//   - An object's size is counted as sent, from its opening to its closing
//     brace, white space between included.
//   - An optional status may be sent empty, and is then empty.
//
// Folding:
//
//   - A message whose subject names nothing is counted under its type where the
//     envelope is sound (its partitionkey agreeing with the last token) and the
//     type known, like every other parked message.
//   - A tier without an applied definition has position 0, and so has the tier
//     of an account without a team. Such an account is missing its team and its
//     quota_tier both.
//   - A parked message on a tier's subject belongs to no account.
//   - Setting a flag to null that is not there changes nothing but updated_at.
package oracle
