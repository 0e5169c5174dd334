package projections

import (
	"fmt"
	"runtime"
	"testing"

	"accountexport/events"
)

// TestManyFlagsWaitForTheirUser has 10,000 changes of flags wait for a user, among them
// removals, with a store and load halfway. In the end the flags are as if the user had been
// there, and the cost of another change does not grow with their number.
func TestManyFlagsWaitForTheirUser(t *testing.T) {
	id, err := events.ParseUUID("3c90c3cc-0d44-4b50-8888-8dd25736052a")
	if err != nil {
		t.Fatal(err)
	}
	early, late := NewAccount(id), NewAccount(id)
	n := uint64(0)
	apply := func(a *Account, data events.Payload) {
		t.Helper()
		n++
		d := Decoded{Message: Message{Position: n}, To: events.Subject{Kind: events.SubjectAccount, Account: id},
			Event: events.Event{Type: data.Type(), Data: data, Sound: true}}
		if out, err := a.Apply(&d); err != nil {
			t.Fatalf("%s: %v", out, err)
		}
	}
	register := func(a *Account) {
		apply(a, &events.UserRegistered{Email: "a@example.org", Tier: "t", QuotaTierID: "q"})
	}
	register(early)
	before := allocated()
	for i := range 10_000 {
		f := []events.Flag{{Name: fmt.Sprint("f", i), Value: []byte(fmt.Sprint(i))}, {Name: fmt.Sprint("f", i/2)}, {Name: fmt.Sprint("f", i/3), Value: []byte("true")}}
		if i/2 == i || i/3 == i || i/2 == i/3 {
			f = f[:1]
		}
		changed := &events.UserAbuseFlagsChanged{Flags: f}
		apply(early, changed)
		apply(late, changed)
		if i == 5000 { // stored and loaded
			p := late.waiting[waitKey{UserEntity, ""}].patch
			b, err := encodePatch(p)
			if err != nil {
				t.Fatal(err)
			}
			back, err := readPatch(UserEntity, b)
			if err != nil {
				t.Fatal(err)
			}
			late.waiting[waitKey{UserEntity, ""}].patch = back
		}
	}
	register(late)
	if n := (allocated() - before) / 10_000; n > 5000 {
		t.Errorf("%d bytes were allocated for each change", n)
	} else {
		t.Logf("%d bytes were allocated for each change", n)
	}
	if want, got := string(early.user.appendJSON(nil)), string(late.user.appendJSON(nil)); want != got {
		t.Errorf("flags that waited differ: %d bytes, want %d", len(got), len(want))
	}
}

// allocated is how many bytes were allocated so far.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
