package console

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"github.com/gorilla/mux"

	"accountexport/internal/acts"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// mostReceipt bounds a receipt; one that names hundreds of copies is a tenth of it.
const mostReceipt = 64 << 10

// routeReceipts adds the check of receipts: POST /erasures/receipt with a form whose
// field receipt is a text or a file, and POST /api/erasures/receipt with the receipt
// itself, as JSON. It changes nothing.
func (c *Console) routeReceipts(m *mux.Router) {
	handle := func(w http.ResponseWriter, r *http.Request) {
		text, err := readReceipt(w, r)
		var v *receiptView
		if err == nil {
			v, err = c.checkReceipt(r.Context(), userOf(r), text)
		}
		switch {
		case err != nil:
			c.fail(w, r, err)
		case isAPI(r):
			writeJSON(w, http.StatusOK, v)
		default:
			c.page(w, r, http.StatusOK, "receipt", v)
		}
	}
	m.HandleFunc("/erasures/receipt", handle).Methods(http.MethodPost)
	m.HandleFunc("/api/erasures/receipt", handle).Methods(http.MethodPost)
	c.screen(m, "/erasures/receipt", "receipt", func(*http.Request) (any, error) { return &receiptView{}, nil })
}

// receiptView is what a receipt says, and whether it is the one on the ledger.
type receiptView struct {
	Given   bool       `json:"given"`   // false: nothing was given to check
	Genuine bool       `json:"genuine"` // its digest is the one on the ledger
	Text    string     `json:"text"`    // what was found, as a sentence
	Account string     `json:"account"`
	Digest  string     `json:"digest"`           // of what was given
	Ledger  string     `json:"digest_on_ledger"` // empty: none
	Says    []factView `json:"says"`
}

func (v *receiptView) pageTitle() string { return "Check a receipt" }

// checkReceipt holds a receipt against the ledger. It is a look at the account that the
// receipt names.
func (c *Console) checkReceipt(ctx context.Context, user string, text []byte) (*receiptView, error) {
	digest, err := acts.ReceiptDigest(text)
	var receipt acts.Receipt
	if err == nil {
		err = json.Unmarshal(text, &receipt)
	}
	if err != nil {
		return nil, badRequest("That is no receipt", "It has to be the JSON that `projector erase --json` has printed, or that the console gave: %v.", err)
	}
	account, err := parseAccount(receipt.Account)
	if err != nil {
		return nil, badRequest("That is no receipt", "A receipt names its account, by a UUID in the field account.")
	}
	if err := c.recorder(user).Look(ctx, acts.ErasuresViewed, &account, "receipt"); err != nil {
		return nil, err
	}
	v := &receiptView{Given: true, Account: account.String(), Digest: digest, Says: receiptWords(&receipt)}
	entry, err := admin.FindErasure(ctx, c.cfg.Pool, account)
	switch v.Ledger = entry.Receipt; {
	case errors.Is(err, readmodel.ErrNotFound):
		v.Text = "The account is not on the ledger of erasures: either it was never erased here, or the ledger was lost. What the receipt says is not proven."
	case err != nil:
		return nil, err
	case entry.Receipt == "":
		v.Text = "The account is on the ledger of erasures, without a receipt: none of its erasures was proven here, beyond any copy, or it came with a ledger that was imported. " +
			"What the receipt says is not proven."
	case entry.Receipt == digest:
		v.Genuine, v.Text = true, "It is the receipt on the ledger: nothing in it was changed."
	default:
		v.Text = "It is NOT the receipt on the ledger: it was changed, or it is of another erasure of this account. The ledger keeps the digest of the last one alone."
	}
	return v, nil
}

// readReceipt reads what was given: a form's text or file, or JSON.
func readReceipt(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	r.Body = http.MaxBytesReader(w, r.Body, 4*mostReceipt) // a form writes a character as three
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	var text []byte
	var err error
	switch kind {
	case "application/json":
		text, err = io.ReadAll(r.Body)
	case "application/x-www-form-urlencoded":
		if err = r.ParseForm(); err == nil {
			text = []byte(r.PostForm.Get("receipt"))
		}
	case "multipart/form-data":
		text, err = readUpload(r)
	default:
		return nil, badRequest("That is no form", "A receipt is pasted or uploaded as a form, or sent as application/json.")
	}
	tooLong := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLong), len(text) > mostReceipt:
		return nil, badRequest("That is no receipt", "It is longer than %d KiB.", mostReceipt>>10)
	case err != nil:
		return nil, badRequest("The form cannot be read", "%v.", err)
	case len(text) == 0:
		return nil, badRequest("There is no receipt", "Paste its JSON, or choose its file.")
	}
	return text, nil
}

// readUpload reads the file, or where none was chosen the text.
func readUpload(r *http.Request) ([]byte, error) {
	if err := r.ParseMultipartForm(4 * mostReceipt); err != nil {
		return nil, err
	}
	defer func() { _ = r.MultipartForm.RemoveAll() }()
	for _, h := range r.MultipartForm.File["file"] {
		if h.Size == 0 {
			continue
		}
		f, err := h.Open()
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return io.ReadAll(io.LimitReader(f, mostReceipt+1))
	}
	return []byte(r.PostFormValue("receipt")), nil
}

// receiptWords says what a receipt says.
func receiptWords(r *acts.Receipt) []factView {
	n := func(name string, count uint64, note string, bad bool) factView {
		return factView{Name: name, Count: &count, Note: note, Bad: bad}
	}
	out := []factView{
		{Name: "Account", Text: r.Account},
		n("Erased at position", r.ErasedAt, "of account.erased, the one message of it that stays", false),
		n("Messages removed", uint64(max(0, r.MessagesRemoved)), "of the account", false),
		n("Strays removed", uint64(max(0, r.StraysRemoved)), "messages on mistyped subjects that held its id or an address", false),
		n("Rows removed", uint64(max(0, r.RowsRemoved)), "beside those that folding the event removed", false),
		n("Messages searched", uint64(max(0, r.MessagesSearched)), "afterwards, all that the stream held", false),
		n("Messages left", uint64(max(0, r.MessagesLeft)), "", r.MessagesLeft > 0),
		n("Rows left", uint64(max(0, r.RowsLeft)), "", r.RowsLeft > 0),
		{Name: "Done", Time: &r.Done},
	}
	if r.Already {
		out = append(out, factView{Name: "Erased already", Text: "yes", Note: "before this erasure began; nothing was left to remove"})
	}
	for _, g := range r.Failed {
		out = append(out, factView{Name: "Given up", Text: fmt.Sprintf("generation %d", g), Note: "which was being built; the next `projector rebuild` starts anew"})
	}
	for _, s := range r.Copies {
		f := factView{Name: "Copy " + s.Stream, Text: "KEEPS the account's messages", Bad: true}
		if s.Purged {
			f.Text, f.Bad = fmt.Sprintf("%d removed, %d searched, %d left", s.Removed, s.Searched, s.Left), s.Left > 0
		}
		out = append(out, f)
	}
	if r.Unreadable > 0 {
		out = append(out, n("Unreadable", r.Unreadable, "messages that the server counts and can give to nobody, as was accepted before", true))
	}
	if len(r.ElsewhereAt) > 0 {
		out = append(out, factView{Name: "Mentioned elsewhere", Text: shortList(r.ElsewhereAt), Note: "in messages of other accounts, which are theirs"})
	}
	return append(out, factView{Name: "Searched", Text: r.Searched}, factView{Name: "Not seen", Text: r.NotSeen})
}

// shortList is a list of positions, the first of them.
func shortList(positions []uint64) string {
	const most = 50
	if len(positions) <= most {
		return fmt.Sprint(positions)
	}
	return fmt.Sprintf("%v and %d more", positions[:most], len(positions)-most)
}
