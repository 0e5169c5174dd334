package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"accountexport/events"
	"accountexport/internal/local/browser"
	"accountexport/readmodel"
	"accountexport/readmodel/admin"
)

// answersAQuestion: a user who pays asks why the export says that the tier is free. The
// timeline has the message that has set it, with what it was before; nothing of it shows
// an address or a name; and the account is the same as what the stream says of it.
func (o *operator) answersAQuestion(t *testing.T, w *world) {
	t.Helper()
	m, err := events.NewUserTierChanged(w.meta(), uuid(t, someone), events.UserTierChanged{Tier: "free", QuotaTierID: "free"})
	position := o.publishEvent(t, m, err)
	o.waitProjected(t)

	o.open(t, "/accounts")
	o.fill(t, "Account id", someone+browser.Enter)
	o.located(t, "/accounts/"+someone)
	o.sees(t, "complete")
	o.shot(t, "account", desk)
	o.click(t, fmt.Sprintf("tier: set by %d", position))
	o.Eventually(t, "the message that has set the tier, with what it was before, in what is seen", fmt.Sprintf(`(() => {
  const row = document.querySelector("#m%d"), at = row?.getBoundingClientRect();
  return !!at && at.top >= 0 && at.bottom <= innerHeight && /user\.tier: pro → free/.test(row.innerText.replace(/\s+/g, " "));
})()`, position))
	o.shot(t, "timeline", deskDark)
	for _, personal := range []string{"person0@", "Lovelace", "Analytical", "eu-west"} {
		if text := browser.Evaluate[string](t, o.Browser, `document.documentElement.outerHTML`); strings.Contains(text, personal) {
			t.Errorf("the page has %q in it", personal)
		}
	}
	o.click(t, "Verify against the stream")
	o.sees(t, "Nothing differs")
	if n := o.audited(t, "account.viewed", "done"); n == 0 {
		t.Error("nobody has looked at the account, says the audit")
	}
}

// erases: an account is erased after a look at what goes, and the receipt that the page
// offers is the one on the ledger.
func (o *operator) erases(t *testing.T, w *world) {
	t.Helper()
	account := w.accounts[1].String()
	o.open(t, "/accounts/"+account)
	o.click(t, "Erase …")
	o.located(t, "/accounts/"+account+"/erase")
	o.click(t, "Look, and change nothing")
	o.sees(t, "It would", "13 messages of the account")
	o.click(t, "Erase it")
	o.located(t, "/accounts/"+account+"/erase")
	o.fill(t, "Type the account's id", "another")
	o.click(t, "Erase the account for ever")
	o.sees(t, "Not confirmed", "Nothing was changed")
	if _, err := admin.FindErasure(t.Context(), o.pool, w.accounts[1]); err == nil {
		t.Fatal("it is erased without its id")
	}
	o.open(t, "/accounts/"+account+"/erase")
	o.fill(t, "Type the account's id", account)
	o.click(t, "Erase the account for ever")
	o.sees(t, "The receipt", "Nothing of the account is left")
	o.shot(t, "erasure", desk)
	o.checkErased(t, account)
}

// mendsABadDeploy: half of the accounts' e-mail addresses come as an object. What is parked
// is seen by its reason, without what was found; it is published anew, and the parked
// messages are dismissed as a group, with a note; taken back by another; and dismissed again.
func (o *operator) mendsABadDeploy(t *testing.T, w *world) {
	t.Helper()
	accounts := w.accounts[2:20]
	email := func(id events.UUID, n int, wrong bool) (events.Message, error) {
		m, err := events.NewUserEmailChanged(w.meta(), id, events.UserEmailChanged{Email: fmt.Sprintf("moved%d@example.org", n)})
		if wrong {
			m.Data = []byte(strings.Replace(string(m.Data), `"email":"`, `"email":{"address":"hunter`, 1))
			m.Data = []byte(strings.Replace(string(m.Data), `.org"`, `.org"}`, 1))
		}
		return m, err
	}
	o.publishEach(t, len(accounts), func(i int) (events.Message, error) { return email(accounts[i], i, true) })
	o.waitProjected(t)

	o.open(t, "/")
	o.sees(t, "Somebody should look")
	o.shot(t, "overview", desk)
	o.shot(t, "overview-phone", phoneDark)
	o.clickWithin(t, "#verdict", "The parked messages")
	o.located(t, "/parked.*")
	o.sees(t, "data.email", "user.email_changed.v1")
	o.shot(t, "parked", desk)
	o.open(t, "/parked?view=list")
	first := browser.Evaluate[string](t, o.Browser, `document.querySelector(".parked-list tbody a").innerText`)
	o.clickWithin(t, ".parked-list", first)
	o.sees(t, "an object", "Right would be", "a text of 1 to 1024 characters", "masked")
	if strings.Contains(browser.Evaluate[string](t, o.Browser, `document.documentElement.outerHTML`), "hunter") {
		t.Error("what was found is shown")
	}
	o.shot(t, "parked-message", desk)

	o.publishEach(t, len(accounts), func(i int) (events.Message, error) { return email(accounts[i], i, false) })
	dismiss := func() {
		t.Helper()
		o.open(t, "/parked")
		o.clickWithin(t, ".parked-groups", browser.Evaluate[string](t, o.Browser, `document.querySelector(".parked-groups tbody a").innerText`))
		o.located(t, `/parked\?.*reason=.*`)
		o.click(t, "Dismiss 18 messages…")
		o.located(t, "/parked/confirm/dismiss.*")
		o.sees(t, "18 messages")
		o.fill(t, "A note", "published again, by the <b>fixed</b> deploy")
		o.clickWithin(t, "main form", "Dismiss 18 messages")
		o.sees(t, "Take it back")
		o.parkedAre(t, 0)
	}
	dismiss()
	o.fill(t, "A note", "they were others")
	o.clickWithin(t, "main form", "Have 18 messages count again")
	o.sees(t, "Take it back")
	o.parkedAre(t, len(accounts))
	dismiss()
	if n, m := o.audited(t, "parked.dismiss", "done"), o.audited(t, "parked.undismiss", "done"); n != 2 || m != 1 {
		t.Errorf("the audit has %d dismissals, and %d taken back", n, m)
	}
	o.open(t, "/")
	o.sees(t, "All is well")
}

// parkedAre waits until so many messages are parked and count.
func (o *operator) parkedAre(t *testing.T, want int) {
	t.Helper()
	eventually(t, fmt.Sprint(want, " messages that count as parked"), time.Minute, func(ctx context.Context) error {
		n, err := countParked(ctx, o.pool)
		if err == nil && int(n) != want {
			err = fmt.Errorf("%d are", n)
		}
		return err
	})
}

// rebuilds: a rebuild is begun, watched, found to be the same and cut over to; the old generation
// is rolled back to and the new one dropped.
func (o *operator) rebuilds(t *testing.T) {
	t.Helper()
	o.open(t, "/generations")
	o.click(t, "Rebuild")
	o.sees(t, "Generation 2, compared with generation 1", "Nothing differs")
	o.shot(t, "rebuild", desk)
	o.fill(t, "To confirm", "3")
	o.click(t, "Cut over to generation 2")
	o.sees(t, "Nothing was changed: it was not confirmed")
	if live := o.live(t); live != 1 {
		t.Fatalf("generation %d is live, by a wrong number", live)
	}
	o.Do(t, chromedp.NavigateBack())
	o.ready(t)
	o.fill(t, "To confirm", "2")
	o.click(t, "Cut over to generation 2")
	o.sees(t, "Generation 2 is live; generation 1 is kept")
	if live := o.live(t); live != 2 {
		t.Errorf("generation %d is live", live)
	}
	o.open(t, "/generations")
	o.sees(t, "retired")
}

// live is the number of the live generation.
func (o *operator) live(t *testing.T) int64 {
	t.Helper()
	g, err := readmodel.LiveGeneration(t.Context(), o.pool)
	if err != nil {
		t.Fatal(err)
	}
	return g.Number
}
