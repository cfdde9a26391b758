package node

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
)

// How often a BMC is asked for its server's health.
const (
	healthEvery = time.Hour
	healthFact  = "health asked"
)

// checkHealth reads the health when its time has come. A BMC that says "critical" is not believed alone: rollups
// turn critical for an entry in a log, and sensors without power for nothing. What it names is looked for in the
// sensors of every other protocol, and the history says whether they agree.
func (j *Job) checkHealth(ctx context.Context, d *bmc.Composed) error {
	memory := j.kept(j.Node).Memory
	if last, err := time.Parse(time.RFC3339, memory.Get(healthFact)); j.imaginary() || (err == nil && db.Since(last) < healthEvery) {
		return nil
	}
	h, err := d.Health(ctx)
	if err != nil {
		if lacking(err) {
			memory.Set(healthFact, db.Now().Format(time.RFC3339))
		}
		return err
	}
	memory.Set(healthFact, db.Now().Format(time.RFC3339))
	evidence, sure := "read from the BMC", Told
	if h.Word == "critical" {
		evidence, sure = secondOpinion(ctx, d, h)
	}
	was, err := j.Truth(ctx, j.Node.ID, "health")
	if err != nil {
		return err
	}
	before, err := Known[bmc.Health](was)
	if err != nil {
		return err
	}
	if h.Word == "critical" && before.Word != h.Word {
		if err := j.tell(ctx, "health", fmt.Sprintf("the BMC says critical (%s); %s", strings.Join(h.Causes, ", "), evidence)); err != nil {
			return err
		}
	}
	return j.found(ctx, "health", h, evidence, sure)
}

// secondOpinion asks the sensors of every protocol whether anything is critical.
func secondOpinion(ctx context.Context, d *bmc.Composed, h bmc.Health) (string, Confidence) {
	if len(h.Causes) == 0 {
		return "no part of the server is: a rollup without a cause", Doubtful
	}
	var agree, deny []string
	for _, s := range d.AllSensors(ctx) {
		if s.Err != nil || len(s.Sensors) == 0 {
			continue
		}
		bad := ""
		for _, one := range s.Sensors {
			if one.Health == "critical" {
				bad = one.Name
			}
		}
		if bad != "" {
			agree = append(agree, s.Witness+" shows "+bad)
		} else {
			deny = append(deny, s.Witness)
		}
	}
	switch {
	case len(agree) > 1 || (len(agree) == 1 && len(deny) == 0):
		return strings.Join(agree, ", "), Agreed
	case len(agree) == 1:
		return agree[0] + ", and " + strings.Join(deny, " and ") + " shows nothing critical", Doubtful
	}
	return "no sensor of " + strings.Join(deny, " or ") + " is critical", Doubtful
}
