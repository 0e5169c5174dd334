package console

import (
	"net/url"
	"strconv"

	"accountexport/events"
)

// timelineQuery says which messages are wanted.
type timelineQuery struct {
	typ, outcome string
	from         int    // index among those that are selected
	after        uint64 // only those after a position, instead of from
	around       uint64 // the page that has a position in its first part, instead of both
	limit        int
}

// timelineQueryOf reads which messages a request wants.
func timelineQueryOf(q url.Values) (t timelineQuery, err error) {
	t.typ, t.outcome = q.Get("type"), q.Get("outcome")
	if t.after, err = positionOf(q, "after"); err != nil {
		return t, err
	}
	if t.around, err = positionOf(q, "message"); err != nil {
		return t, err
	}
	if t.from, err = numberOf(q, "first", 0); err != nil {
		return t, err
	}
	if t.limit, err = numberOf(q, "limit", entriesPerPage); err != nil {
		return t, err
	}
	t.limit = max(1, min(t.limit, mostEntries))
	return t, nil
}

// positionOf reads a position of a request; 0 where it names none.
func positionOf(q url.Values, name string) (uint64, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	position, err := strconv.ParseUint(text, 10, 63)
	if err != nil || position == 0 {
		return 0, badRequest(name+" is no position", "It has to be a position of the stream, such as 1234.")
	}
	return position, nil
}

// numberOf reads a whole number of a request.
func numberOf(q url.Values, name string, without int) (int, error) {
	text := q.Get(name)
	if text == "" {
		return without, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, badRequest(name+" is no number", "It has to be a whole number from 0, such as 100.")
	}
	return n, nil
}

// accountOf reads an account's id.
func accountOf(text string) (events.UUID, error) {
	account, err := events.ParseUUID(text)
	if err != nil {
		return account, badRequest("That is no account's id", "It has to be a UUID of 36 characters, such as 3c90c3cc-0d44-4b50-8888-8dd25736052a, in either case.")
	}
	return account, nil
}
