package main

import (
	"fmt"
	"os"
	"os/user"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"accountexport/internal/cli"
	"accountexport/readmodel/admin"
)

func (p *program) pause() *cobra.Command {
	var note string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "pause [--note TEXT] [--json]",
		Short: "Have the checkpoints of every generation stand still, for maintenance, until `projector resume`",
		Long: "Once it has returned, nothing is folded any more and no checkpoint moves, whoever would move it, until `projector resume`.\n" +
			"Replicas of `projector run` stand by, as do those that are started meanwhile: they are ready, and go on by themselves\n" +
			"within about a second of the resumption. Documents are served as they are. What would have to wait for a checkpoint\n" +
			"(`erase`, `rebuild`, `cutover`, `rollback`, `accept --yes`, a refold that changes anything) says so and ends with 1.\n\n" +
			"It may be repeated: since when and by whom stays, and the note, unless there is another.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			by := operatorName()
			now, already, err := admin.Pause(cmd.Context(), pool, by, strings.TrimSpace(note))
			if err != nil {
				return err
			}
			if asJSON {
				return p.printJSON(pausedLine{pauseStatus{now.Since.UTC(), now.By, now.Note}, already})
			}
			was := ""
			if already {
				was = " already"
			}
			_, err = fmt.Fprintf(p.out, "paused%s %s: no checkpoint moves until `projector resume`\n", was, cli.Printable(now.String()))
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	cli.Flag(cmd.Flags(), &note, "note", cli.Text("TEXT", `a text that says why, such as "moving the database"`), "why, for whoever comes by")
	return cmd
}

// pausedLine is the result as JSON.
type pausedLine struct {
	Paused  pauseStatus `json:"paused"`
	Already bool        `json:"already"` // before this call
}

// resumedLine is the result as JSON.
type resumedLine struct {
	Was *pauseStatus `json:"was"` // null: nothing was paused
}

func (p *program) resume() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "resume [--json]",
		Short: "End `projector pause`: everything goes on within about a second",
		RunE: func(cmd *cobra.Command, _ []string) error {
			pool, err := p.connectDatabase(cmd.Context())
			if err != nil {
				return err
			}
			defer pool.Close()
			was, err := admin.Resume(cmd.Context(), pool)
			if err == nil && asJSON {
				var l resumedLine
				if was != nil {
					l.Was = &pauseStatus{was.Since.UTC(), was.By, was.Note}
				}
				return p.printJSON(l)
			}
			if err == nil && was == nil {
				_, err = fmt.Fprintln(p.out, "nothing is paused")
			} else if err == nil {
				_, err = fmt.Fprintf(p.out, "resumed; it was paused %s\n", cli.Printable(was.String()))
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// operatorName is who calls this program, as far as the machine knows.
func operatorName() string {
	name, host := "somebody", "somewhere"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if h, err := os.Hostname(); err == nil {
		host = h
	}
	return name + "@" + host
}

// pauseStatus is the pause as `status --json` has it.
type pauseStatus struct {
	Since time.Time `json:"since"`
	By    string    `json:"by"`
	Note  string    `json:"note"`
}
