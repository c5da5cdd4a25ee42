package portal

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/stepgate/stepgate/internal/audit"
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

const (
	// shownEvents bounds the list of events, and shownOfUser that on the page of a user.
	shownEvents = 100
	shownOfUser = 20
)

func (p *Portal) showEvents(c *call, a flow.Administrator) error {
	list, err := p.events.Last(c.ctx(), "", shownEvents)
	if err != nil {
		return err
	}
	return p.show(c, http.StatusOK, "portal", ui.AdminEvents{Common: p.common(c, ""), Identity: p.identity(c), Events: eventRows(c.ctx(), a, list)})
}

// eventRows are events, the newest first, with the addresses of those whom they name.
func eventRows(ctx context.Context, a flow.Administrator, list []audit.Entry) []ui.AccountEvent {
	known := map[string]string{"": ""}
	name := func(id string) (text string, exists bool) {
		if _, ok := known[id]; !ok {
			if u, err := a.Find(ctx, id); err == nil {
				known[id] = u.PrimaryEmail().Address
			}
		}
		return cmp.Or(known[id], id), known[id] != ""
	}
	var out []ui.AccountEvent
	for _, ev := range slices.Backward(list) {
		row := ui.AccountEvent{
			At: ev.Time, Kind: string(ev.Kind), Factor: ev.Factor, Address: ev.IPAddress, Alarm: ev.Kind.Alarming(),
		}
		var exists bool
		if row.Who, exists = name(ev.UserID); exists {
			row.UserID = ev.UserID
		}
		row.By, _ = name(ev.ActorID)
		if ev.ByAdmin && ev.ActorID == "" {
			row.By = "a command"
		}
		if ev.Kind == audit.FactorRefused {
			row.Reason = ev.Reason
		}
		out = append(out, row)
	}
	return out
}
