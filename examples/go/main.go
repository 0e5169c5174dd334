// Command controlplane is an example of a producer in Go: it signs up an account, given
// by its UUID and e-mail address, on the NATS server of NATS_URL.
package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"accountexport/events"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: controlplane ACCOUNT EMAIL")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(account, email string) error {
	id, err := events.ParseUUID(account)
	if err != nil {
		return err
	}
	hours, err := events.ParseDecimal("1.5")
	if err != nil {
		return err
	}
	nc, err := nats.Connect(cmp.Or(os.Getenv("NATS_URL"), nats.DefaultURL), nats.MaxReconnects(-1))
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	plane := controlPlane{js: js}
	if _, err := plane.defineTier(ctx, events.QuotaTierDefined{ID: "free", DisplayName: "Free",
		MaxConcurrentSandboxes: 3, DailySandboxCreates: 50, DailyGBHours: hours}); err != nil {
		return err
	}
	position, err := plane.signUp(ctx, id, email, "free")
	if err != nil {
		return err
	}
	fmt.Println("position", position)
	return nil
}
