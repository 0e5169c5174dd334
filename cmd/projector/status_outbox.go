package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"accountexport/internal/cli"
	"accountexport/internal/relay"
)

// outboxStatus is the outbox as JSON.
type outboxStatus struct {
	Error           string          `json:"error"`                  // why it could not be read; empty where it could
	Pending         *int64          `json:"pending"`                // null where it could not be read
	Oldest          *float64        `json:"oldest_pending_seconds"` // null where nothing waits
	Stream          string          `json:"stream"`                 // empty where nothing was published from it
	LastPosition    *uint64         `json:"last_position"`          // 0 where nothing was; null where it could not be read
	LastPublishedAt *time.Time      `json:"last_published_at"`      // null where nothing was
	Relay           string          `json:"relay"`                  // who relays it; empty: nobody
	Refused         []outboxRefused `json:"refused"`                // messages that JetStream refuses
}

type outboxRefused struct {
	Subject string    `json:"subject"`
	Number  int64     `json:"number"`
	ID      string    `json:"id"`
	Reason  string    `json:"reason"`
	Since   time.Time `json:"since"`
}

// outboxStatusOf is nil where there is no outbox.
func outboxStatusOf(s *relay.Status, failed error) *outboxStatus {
	switch {
	case failed != nil:
		return &outboxStatus{Error: outboxProblem(failed), Refused: []outboxRefused{}}
	case s == nil:
		return nil
	}
	out := &outboxStatus{Pending: &s.Pending, Stream: s.Stream, LastPosition: &s.LastPosition, LastPublishedAt: s.LastAt, Relay: s.Relay, Refused: []outboxRefused{}}
	if s.Pending > 0 {
		seconds := s.Oldest.Seconds()
		out.Oldest = &seconds
	}
	for _, r := range s.Refused {
		out.Refused = append(out.Refused, outboxRefused{r.Subject, r.Number, r.ID, r.Reason, r.Since})
	}
	return out
}

// outboxProblem is why the outbox could not be read, in one line.
func outboxProblem(err error) string {
	return cli.Printable(strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "outbox: "))
}

// whichMessage is the condition of a message for SQL: by its id, unless that cannot be printed as
// it is.
func whichMessage(m relay.Refused) string {
	quoted := func(text string) string { return "'" + strings.ReplaceAll(text, "'", "''") + "'" }
	if cli.Printable(m.ID) != m.ID {
		return fmt.Sprintf("subject = %s AND number = %d", quoted(m.Subject), m.Number)
	}
	return "id = " + quoted(m.ID)
}

// printOutbox prints the outbox for people.
func printOutbox(w io.Writer, s *relay.Status) error {
	var b strings.Builder
	fmt.Fprintf(&b, "outbox: %d pending", s.Pending)
	if s.Pending > 0 {
		fmt.Fprintf(&b, ", the oldest for %s", s.Oldest.Round(100*time.Millisecond))
	}
	if s.LastAt != nil {
		fmt.Fprintf(&b, "; last published at position %d, %s", s.LastPosition, s.LastAt.UTC().Format(time.RFC3339))
	} else {
		b.WriteString("; nothing was published yet")
	}
	if s.Relay == "" {
		b.WriteString("; nobody relays it: `projector relay`")
	}
	b.WriteString("\n")
	for _, r := range s.Refused {
		fmt.Fprintf(&b, "outbox: JetStream refuses message %d on %s, id %s, since %s, and what comes after it there waits: %s\n", r.Number, cli.Printable(r.Subject),
			cli.Printable(r.ID), r.Since.UTC().Format(time.RFC3339), cli.Printable(r.Reason))
	}
	if len(s.Refused) > 0 {
		fmt.Fprintf(&b, "outbox: mend what the reason names (the stream's max_msg_size, the server's max_payload, the row), and it goes within half a minute; "+
			"or give the event up, in that database: DELETE FROM outbox.messages WHERE %s\n", whichMessage(s.Refused[0]))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
