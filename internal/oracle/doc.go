// Package oracle is a second, independent implementation of the event
// contract: the simplest fold that could be right, without regard to speed, and
// with only the standard library. Tests, benchmarks and chaos runs compare the
// real implementation with it, so it shares no code with it and must never
// import it.
//
// Where the contract is silent, this package decides as follows.
//
// Decoding:
//
//   - datacontenttype, data and data_base64 are checked only for a known type,
//     including their JSON kind. An event that fails only there has a valid
//     envelope and is counted under its type.
//   - Of the other attributes, those that are used (specversion, id,
//     source, type, time, partitionkey) must be strings without control
//     characters (Unicode category Cc). All further attributes, and further
//     ce- headers, are ignored whatever they hold.
//   - Header names, Content-Type too, are compared without ASCII case. A header
//     without values is absent. Where Content-Type is given several times, one
//     that names a batch refuses the message, one that says structured makes it
//     structured; in binary mode it is then a datacontenttype given twice.
//   - A batch is refused whatever the payload and the other headers.
//   - The mode is decided by Content-Type as sent; as datacontenttype it is
//     percent-decoded like every header of binary mode.
//   - A JSON media type is two RFC 9110 tokens with a slash between, the second
//     json or something+json, white space around it ignored.
//   - A time whose written year is 0000 is valid if its UTC year is not
//     (0000-12-31T23:30:00-01:00); a date of year 0000 is not. The fraction may
//     have any number of digits; those after the sixth are cut off.
//   - An object's size is counted as sent, from its opening to its closing
//     brace, white space between included.
//   - An optional status may be sent empty, and is then empty.
//
// Folding:
//
//   - A message whose subject is not valid is counted under its type if the
//     envelope is valid (its partitionkey equals the last token) and the type is
//     known, like every other parked message.
//   - A tier without an applied definition has position 0, and so has the tier
//     of an account without a team. Such an account lacks both its team and its
//     quota_tier.
//   - A parked message on a tier's subject belongs to no account.
//   - Setting an absent flag to null changes only updated_at.
package oracle
