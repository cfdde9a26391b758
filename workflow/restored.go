package workflow

import (
	"context"

	"github.com/hagane-cloud/hagane/fault"
)

// Requeue forgets the queue's jobs of all runs that have not ended, as their numbers mean nothing in another database: a conductor
// takes the runs up anew. With a reason they are held before that.
func Requeue(ctx context.Context, tx Tx, hold string) error {
	if _, err := tx.NewRaw("UPDATE run SET job_id = 0 WHERE ended_at IS NULL").Exec(ctx); err != nil {
		return fault.E(fault.Internal, "forgetting the jobs of runs", err)
	}
	if hold == "" {
		return nil
	}
	_, err := tx.NewRaw("UPDATE run SET hold = ?, phase = ?, reason = ? WHERE ended_at IS NULL AND phase <> ?", hold, Held, hold, Held).Exec(ctx)
	if err != nil {
		return fault.E(fault.Internal, "holding runs", err)
	}
	return nil
}
