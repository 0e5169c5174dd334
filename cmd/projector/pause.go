package main

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/spf13/cobra"

	"accountexport/internal/acts"
	"accountexport/internal/cli"
	"accountexport/readmodel/admin"
)

func (p *program) pause() *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use:   "pause [--note TEXT] [--json]",
		Short: "Have the checkpoints of every generation stand still, for maintenance, until `projector resume`",
		Long: "Once it has returned, nothing is folded any more and no checkpoint moves, whoever would move it, until `projector resume`.\n" +
			"Replicas of `projector run` stand by, as do those that are started meanwhile: they are ready, and go on by themselves\n" +
			"within about a second of the resumption. Documents are served as they are. What would have to wait for a checkpoint\n" +
			"(`erase`, `rebuild`, `cutover`, `rollback`, `accept --yes`, a refold that changes anything) says so and ends with 1.\n\n" +
			"It may be repeated: since when and by whom stays, and the note, unless there is another.",
		Example: `  # Before maintenance of the database.
  projector pause --note "moving the database"
  # Since when is it paused, and by whom?
  projector status --json | jq .paused`,
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			return p.act(ctx, pool, acts.Pause, nil, "", func() error {
				pause, already, err := admin.Pause(ctx, pool, operatorName(), strings.TrimSpace(note))
				if err != nil {
					return err
				}
				was := ""
				if already {
					was = " already"
				}
				return p.result(pausedLine{pauseStatus{pause.Since.UTC(), pause.By, pause.Note}, already},
					"paused%s %s: no checkpoint moves until `projector resume`\n", was, cli.Printable(pause.String()))
			})
		}),
	}
	p.jsonFlag(cmd, jsonResult)
	cli.Flag(cmd.Flags(), &note, "note", cli.Text("TEXT", `a text that says why, such as "moving the database"`), "why, for whoever comes by")
	return cmd
}

// pausedLine is the result as JSON.
type pausedLine struct {
	Paused  pauseStatus `json:"paused"`
	Already bool        `json:"already"` // it was paused before this call
}

// resumedLine is the result as JSON.
type resumedLine struct {
	Was *pauseStatus `json:"was"` // null where nothing was paused
}

func (p *program) resume() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "resume [--json]",
		Short: "End `projector pause`: everything goes on within about a second",
		Example: `  # After the maintenance.
  projector resume
  # Watch it catch up.
  projector resume && projector status --watch --interval 1s`,
		RunE: p.onDatabase(func(ctx context.Context, pool *pgxpool.Pool) error {
			return p.act(ctx, pool, acts.Resume, nil, "", func() error {
				was, err := admin.Resume(ctx, pool)
				if err != nil {
					return err
				}
				if was == nil {
					return p.result(resumedLine{}, "nothing is paused\n")
				}
				return p.result(resumedLine{&pauseStatus{was.Since.UTC(), was.By, was.Note}}, "resumed; it was paused %s\n", cli.Printable(was.String()))
			})
		}),
	}
	p.jsonFlag(cmd, jsonResult)
	return cmd
}

// pauseStatus is a pause as JSON, here and in `status --json`.
type pauseStatus struct {
	Since time.Time `json:"since"`
	By    string    `json:"by"`
	Note  string    `json:"note"`
}
