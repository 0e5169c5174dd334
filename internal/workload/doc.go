// Package workload generates streams of control-plane messages for tests, benchmarks
// and chaos runs. It composes raw JSON and does not use the events package, so that it
// can generate what no constructor would.
//
// There are three profiles:
//
//   - New: random in every way that the contract allows, and as hostile as requested.
//   - NewBacklog: mostly valid events of about 300 bytes, of accounts of very
//     different sizes; cheap to generate, for benchmarks.
//   - NewHotAccount: one account whose sections grow to thousands of items and
//     whose old items keep changing.
//
// The same seed and configuration yield the same messages on every machine and in
// every run. Every message can be published: its subject is a valid NATS subject of
// three tokens that begins with "controlplane.", its header names are tokens, its
// header values contain no line breaks and neither begin nor end with white space, and
// it is smaller than 1 MB. No message has Nats-Msg-Id or another header that the server
// acts on. A publisher that wants deduplication adds it, and then loses the duplicates
// that are generated on purpose.
package workload

// Message is a message as a producer would publish it. The caller owns it.
type Message struct {
	Subject string
	Header  map[string][]string // nil: none
	Data    []byte
}
