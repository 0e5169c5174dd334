package acts

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Receipt says what an erasure has done, and what it has looked at since. Its JSON
// is a contract, and what the ledger holds the digest of.
type Receipt struct {
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
	Copies           []CopyReceipt `json:"copies"` // mirrors of the stream and streams that source from it
	Searched         string        `json:"searched"`
	NotSeen          string        `json:"not_seen"`
	Done             time.Time     `json:"done"`
}

// CopyReceipt says what became of a copy of the stream.
type CopyReceipt struct {
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

// JSON is what --json prints.
func (r Receipt) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// digest is what the ledger holds of it.
func (r Receipt) digest() (string, error) {
	b, err := r.JSON()
	return fmt.Sprintf("sha256:%x", sha256.Sum256(b)), err
}

// Incomplete says what keeps the account from being erased wholly; nil where nothing
// does.
func (r Receipt) Incomplete() error {
	if r.MessagesLeft > 0 || r.RowsLeft > 0 {
		return fmt.Errorf("%d messages and %d rows of account %s are left: new ones come; stop who publishes them, and `projector erase --account %[3]s` goes on",
			r.MessagesLeft, r.RowsLeft, r.Account)
	}
	var whole []string
	for _, c := range r.Copies {
		if c.Left > 0 {
			return fmt.Errorf("%d messages of account %s are left in stream %s, a copy: `projector erase --account %[2]s --purge-copies %[3]s` goes on", c.Left, r.Account, c.Stream)
		}
		if !c.Purged {
			whole = append(whole, c.Stream)
		}
	}
	if len(whole) > 0 {
		return fmt.Errorf("account %s is erased here, and copies of the stream keep its messages: `projector erase --account %[1]s --purge-copies %[2]s` "+
			"removes them there, too",
			r.Account, strings.Join(whole, ","))
	}
	return nil
}
