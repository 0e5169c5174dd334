package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// receipt is what `projector erase` prints.
type receipt struct {
	Account          string        `json:"account"`
	ErasedAt         uint64        `json:"erased_at_position"` // of the event that stays in the stream
	Already          bool          `json:"erased_already"`
	MessagesRemoved  int           `json:"messages_removed"`    // of the account
	StraysRemoved    int           `json:"strays_removed"`      // messages on mistyped subjects that held its id or e-mail
	RowsRemoved      int64         `json:"rows_removed"`        // of all generations, beside what the live one removed by folding the event
	Failed           []int64       `json:"generations_failed"`  // that were being built, and are given up
	RowsLeft         int64         `json:"rows_left"`           // 0
	MessagesSearched int           `json:"messages_searched"`   // as many as the stream holds
	MessagesLeft     int           `json:"messages_left"`       // 0
	Unreadable       uint64        `json:"messages_unreadable"` // that the server counts and cannot give to anybody, accepted as lost
	ElsewhereAt      []uint64      `json:"mentioned_elsewhere_at,omitempty"`
	Copies           []copyReceipt `json:"copies"` // mirrors of the stream and streams that source from it
	Searched         string        `json:"searched"`
	NotSeen          string        `json:"not_seen"`
	Done             time.Time     `json:"done"`
}

// copyReceipt says what became of a copy of the stream.
type copyReceipt struct {
	Stream   string `json:"stream"`
	Purged   bool   `json:"purged"` // by --purge-copies; otherwise it was left alone, and not looked into
	Removed  int    `json:"messages_removed"`
	Searched int    `json:"messages_searched"`
	Left     int    `json:"messages_left"`
}

const (
	searchedAll = "every message of the stream for the account's id and e-mail addresses, in either case; every table of every generation"
	notSeen     = "copies of the stream in other NATS accounts; backups; what the servers' disks keep until it is overwritten"
)

// json is what --json prints.
func (r receipt) json() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// digest is what the ledger holds of it.
func (r receipt) digest() (string, error) {
	b, err := r.json()
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b)), err
}

// left says what keeps the account from being erased wholly; nil where nothing
// does.
func (r receipt) left() error {
	if r.MessagesLeft > 0 || r.RowsLeft > 0 {
		return fmt.Errorf("%d messages and %d rows of account %s are left: new ones come; stop who publishes them, and run the same command again",
			r.MessagesLeft, r.RowsLeft, r.Account)
	}
	var whole []string
	for _, c := range r.Copies {
		if c.Left > 0 {
			return fmt.Errorf("%d messages of account %s are left in stream %s, a copy: run the same command again", c.Left, r.Account, c.Stream)
		}
		if !c.Purged {
			whole = append(whole, c.Stream)
		}
	}
	if len(whole) > 0 {
		return fmt.Errorf("account %s is erased here, and copies of the stream keep its messages: --purge-copies %s removes them there, too",
			r.Account, strings.Join(whole, ","))
	}
	return nil
}

func (r receipt) print(out io.Writer, asJSON bool) error {
	if asJSON {
		b, err := r.json()
		if err == nil {
			_, err = out.Write(b)
		}
		return err
	}
	if r.Already {
		fmt.Fprintf(out, "account %s was erased already, at position %d\n", r.Account, r.ErasedAt)
	}
	fmt.Fprintf(out, `account            %s
erased at          position %d, the one message of it that stays
messages removed   %d of the account, %d on mistyped subjects
rows removed       %d beside those that folding the event removed
`, r.Account, r.ErasedAt, r.MessagesRemoved, r.StraysRemoved, r.RowsRemoved)
	for _, g := range r.Failed {
		fmt.Fprintf(out, "given up           generation %d, which was being built; the next %s starts anew\n", g, "`projector rebuild`")
	}
	for _, c := range r.Copies {
		if c.Purged {
			fmt.Fprintf(out, "copy               stream %s: %d messages removed, %d searched, %d left\n", c.Stream, c.Removed, c.Searched, c.Left)
			continue
		}
		fmt.Fprintf(out, "copy               stream %s KEEPS the account's messages\n", c.Stream)
	}
	fmt.Fprintf(out, `searched           %d messages, and every table of every generation
left               %d messages, %d rows
not seen           %s
done               %s
`, r.MessagesSearched, r.MessagesLeft, r.RowsLeft, r.NotSeen, r.Done.Format(time.RFC3339))
	if r.Unreadable > 0 {
		fmt.Fprintf(out, "unreadable         %d messages that the server counts and can give to nobody, whoseever they were, as was accepted before\n", r.Unreadable)
	}
	if len(r.ElsewhereAt) > 0 {
		fmt.Fprintf(out, "mentioned          in messages of other accounts, which are theirs: positions %v\n", r.ElsewhereAt)
	}
	return nil
}
