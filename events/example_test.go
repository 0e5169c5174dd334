package events_test

import (
	"fmt"

	"accountexport/events"
)

func ExampleDecode() {
	account, err := events.ParseUUID("64c38c41-1961-4698-82a7-af9eab79b005")
	if err != nil {
		fmt.Println(err)
		return
	}
	at, err := events.ParseTime("2026-03-25T09:10:47.5+02:00")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := events.NewSandboxCreated(events.Meta{ID: "e-1", Source: "/control-plane/api", Time: at}, account,
		events.SandboxCreated{ID: "sbx_1", Template: "base", Metadata: []byte(`{"cpu": 2.0}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	e, to, err := events.Decode(m)
	if err != nil {
		fmt.Println(err)
		return
	}
	created := e.Data.(*events.SandboxCreated)
	fmt.Println(m.Subject)
	fmt.Println(e.Time, events.ShortType(e.Type), to.Account == account)
	fmt.Printf("%s %s %s\n", created.ID, created.Template, created.Metadata)

	m.Data = []byte(`{"specversion":"1.0","id":"e-2","source":"/control-plane/api","time":"yesterday"}`)
	_, _, err = events.Decode(m)
	fmt.Println(err)
	// Output:
	// controlplane.account.64c38c41-1961-4698-82a7-af9eab79b005
	// 2026-03-25T07:10:47.5Z sandbox.created.v1 true
	// sbx_1 base {"cpu":2.0}
	// type: found nothing, want a text that is not empty
}
