package acts

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Receipt says what an erasure has removed, and what was searched afterwards. Its JSON
// is a contract, and the ledger of erasures holds its digest.
type Receipt struct {
	Account         string `json:"account"`
	ErasedAt        uint64 `json:"erased_at_position"` // of account.erased, which stays in the stream
	Already         bool   `json:"erased_already"`
	MessagesRemoved int    `json:"messages_removed"` // messages of the account
	// messages on mistyped subjects that contained its id or an address
	StraysRemoved int `json:"strays_removed"`
	// rows of all generations, beside those that the live one removed by folding the
	// event
	RowsRemoved      int64   `json:"rows_removed"`
	Failed           []int64 `json:"generations_failed"` // generations that were being built, and are given up
	RowsLeft         int64   `json:"rows_left"`          // 0 when it is complete
	MessagesSearched int     `json:"messages_searched"`  // as many as the stream holds
	MessagesLeft     int     `json:"messages_left"`      // 0 when it is complete
	// messages that the server counts and cannot deliver, which were accepted as lost
	Unreadable  uint64        `json:"messages_unreadable"`
	ElsewhereAt []uint64      `json:"mentioned_elsewhere_at,omitempty"`
	Copies      []CopyReceipt `json:"copies"` // mirrors of the stream, and streams that source from it
	Searched    string        `json:"searched"`
	NotSeen     string        `json:"not_seen"`
	Done        time.Time     `json:"done"`
}

// CopyReceipt says what became of a copy of the stream.
type CopyReceipt struct {
	Stream   string `json:"stream"`
	Purged   bool   `json:"purged"` // by --purge-copies; otherwise the copy was neither changed nor searched
	Removed  int    `json:"messages_removed"`
	Searched int    `json:"messages_searched"`
	Left     int    `json:"messages_left"`
}

const (
	searchedAll = "every message of the stream for the account's id and e-mail addresses, in either case; every table of every generation; dismissals, and the audit but for the lines of erasures"
	notSeen     = "copies of the stream in other NATS accounts; backups; what the servers' disks keep until it is overwritten"
)

// JSON is what --json prints.
func (r Receipt) JSON() ([]byte, error) {
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// digest is the digest of the receipt that the ledger holds.
func (r Receipt) digest() (string, error) {
	b, err := r.JSON()
	return digestOf(b), err
}

func digestOf(printed []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(printed)) }

// ReceiptDigest is the digest that the ledger holds of a receipt, of its JSON: as it was
// printed, or with other white space between its values, which is what copying changes.
// Whatever else differs, be it an order or a field that is not known, makes it another.
func ReceiptDigest(text []byte) (string, error) {
	var b bytes.Buffer
	if err := json.Indent(&b, bytes.TrimSpace(text), "", "  "); err != nil {
		return "", err
	}
	b.WriteByte('\n')
	return digestOf(b.Bytes()), nil
}

// Incomplete says what keeps the erasure from being complete; nil where it is.
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
