// Command goclient is a client of the API with types generated from its description.
// It prints a line for each token on the command line.
package main

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
)

func main() {
	api, err := NewClientWithResponses(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for _, token := range os.Args[2:] {
		line, err := ask(context.Background(), api, token)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(line)
	}
}

func ask(ctx context.Context, api *ClientWithResponses, token string) (string, error) {
	position, wait := "1", "wait=1"
	got, err := api.GetAccountExportWithResponse(ctx, &GetAccountExportParams{MinPosition: &position, Prefer: &wait},
		func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", "Bearer "+token)
			return nil
		})
	if err != nil {
		return "", err
	}
	switch {
	case got.JSON200 != nil:
		d := got.JSON200
		verified := "null"
		if at := d.User.EmailVerifiedAt; at != nil {
			verified = at.String()
		}
		return fmt.Sprintf("%d %s %d %s %s %v %d %s", got.StatusCode(), d.User.Email, len(d.Sandboxes), d.Sandboxes[0].Status, verified,
			d.QuotaTier.DailyGbHours, len(d.Sandboxes[0].Metadata), *got.Headers200.ETag), nil
	case got.ApplicationproblemJSON503 != nil:
		p := got.ApplicationproblemJSON503
		var missing []string
		for _, m := range *p.Missing {
			missing = append(missing, string(m))
		}
		return fmt.Sprintf("%d %s %s %s", p.Status, p.Type, strings.Join(missing, ","), *got.Headers503.RetryAfter), nil
	case got.ApplicationproblemJSON401 != nil:
		p := got.ApplicationproblemJSON401
		return fmt.Sprintf("%d %s  null", p.Status, p.Type), nil
	}
	return "", fmt.Errorf("answered %s: %s", got.Status(), got.Body)
}
