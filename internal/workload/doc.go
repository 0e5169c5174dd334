// Package workload makes streams of control-plane messages for tests,
// benchmarks and chaos runs. It is built from raw JSON, not from the events
// package, so that it can say what no constructor would.
//
// There are three profiles:
//
//   - New: random in every way the contract allows, and as hostile as asked.
//   - NewBacklog: mostly valid events of about 300 bytes over accounts of very
//     different sizes, cheap to make, for benchmarks.
//   - NewHotAccount: one account whose sections grow to thousands of items and
//     whose old items keep changing.
//
// The same seed and configuration give the same messages on every machine and
// in every run. Every message can be published: its subject is a valid NATS
// subject of three tokens that begins with "controlplane.", its header names
// are tokens, its header values hold no line breaks and neither begin nor end
// in white space, and it stays below 1 MB. No message carries Nats-Msg-Id or
// another header that the server acts on; a publisher that wants
// de-duplication adds it (and then loses the duplicates made on purpose).
package workload

// Message is one message as a producer would publish it. The caller owns it.
type Message struct {
	Subject string
	Header  map[string][]string // nil where there is none
	Data    []byte
}
