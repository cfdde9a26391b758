package node

import (
	"context"
	"time"

	"github.com/hagane-cloud/hagane/bmc"
	"github.com/hagane-cloud/hagane/db"
	"github.com/hagane-cloud/hagane/secret"
	"github.com/hagane-cloud/hagane/workflow"
)

// ConsoleUser is the name of the tenant's user at a BMC. It is made when the tenant asks for the console, may
// not manage users, and is removed when the node is cleaned.
const ConsoleUser = "tenant"

// ConsoleAccess is how a tenant reaches the BMC's own console.
type ConsoleAccess struct {
	Type     string // IPMI or IMM
	Address  string
	User     string
	Password string
}

// console makes the tenant's user at the BMC, or gives it a new password. The input is the password, sealed.
var console = workflow.Workflow[*Job]{Name: "console/1", Steps: []workflow.Step[*Job]{
	{Name: "make the console user", Do: makeConsoleUser, Within: 3 * time.Minute},
}}

func consolePlace(id ID) string { return "node/" + string(id) + "/console" }

func makeConsoleUser(ctx context.Context, j *Job) error {
	sealed, err := input[[]byte](j)
	if err != nil {
		return err
	}
	password, err := j.Box.Open(consolePlace(j.Node.ID), sealed)
	if err != nil {
		return workflow.GiveUp(err)
	}
	d, err := j.BMC(ctx)
	if err != nil {
		return err
	}
	all, err := d.Accounts(ctx)
	if err != nil {
		return giveUpUnlessPassing(err)
	}
	for _, a := range all {
		if a.Name == ConsoleUser {
			return giveUpUnlessPassing(d.SetPassword(ctx, ConsoleUser, string(password)))
		}
	}
	return giveUpUnlessPassing(d.AddAccount(ctx, ConsoleUser, string(password), "Operator"))
}

func giveUpUnlessPassing(err error) error {
	if err == nil || bmc.Passing(err) {
		return err
	}
	return workflow.GiveUp(err)
}

// consolePassword has 16 characters, as IPMI 2.0 takes no more than 20 and older BMCs 16.
const consolePassword = 16

// ConsoleFor makes the tenant's user at the BMC of a node at rest, waits until it works, and returns how to use it.
func (s *Service) ConsoleFor(ctx context.Context, id ID) (ConsoleAccess, error) {
	n, err := get(ctx, s.DB.Read(), id)
	if err != nil {
		return ConsoleAccess{}, err
	}
	paths, err := s.paths(n)
	if err != nil {
		return ConsoleAccess{}, err
	}
	password := secret.Token()[:consolePassword]
	var run workflow.Run
	err = s.DB.Tx(ctx, func(ctx context.Context, tx db.Tx) (err error) {
		run, err = s.Engine.Start(ctx, tx, console.Name, string(id), s.Box.Seal(consolePlace(id), []byte(password)))
		return err
	})
	if err != nil {
		return ConsoleAccess{}, err
	}
	if err := s.outcome(ctx, run.ID, console.Within(), console.Steps[0].Name); err != nil {
		return ConsoleAccess{}, err
	}
	if err := s.lendConsole(ctx, id); err != nil {
		return ConsoleAccess{}, err
	}
	return ConsoleAccess{Type: "IPMI", Address: paths[0].Address, User: ConsoleUser, Password: password}, nil
}
