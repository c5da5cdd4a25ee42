package portal

import (
	"github.com/stepgate/stepgate/internal/flow"
	"github.com/stepgate/stepgate/ui"
)

// rememberDevice ends a flow in which the visitor asked for it: the browser is known from now
// on, if everything was proven in it.
func (p *Portal) rememberDevice(c *call, progress flow.Progress) error {
	if !progress.Pending.Remember || progress.Required == nil {
		return nil
	}
	d, err := p.engine.RememberDevice(c.ctx(), c.visitor, progress.Required)
	if err != nil || d.Value == "" {
		return err
	}
	c.visit.SetDevice(c.w, d.Value, d.ExpiresAt.Sub(p.engine.Now()))
	return nil
}

// devices fills in the devices of the account page.
func (p *Portal) devices(c *call, m *ui.Account) error {
	list, err := p.engine.Devices(c.ctx(), c.visitor)
	for _, d := range list {
		m.Devices = append(m.Devices, ui.Device{ID: d.DeviceID, Name: device(d.UserAgent), ExpiresAt: d.ExpiresAt, Current: d.Current})
	}
	return err
}

func (p *Portal) postDevicesForm(c *call) error {
	if c.value("action") != "remove" {
		return errBody
	}
	return p.accountDone(c, p.engine.ForgetDevice(c.ctx(), c.visitor, c.value("id")))
}

func (p *Portal) getDevices(c *call) (answer, error) {
	list, err := p.engine.Devices(c.ctx(), c.visitor)
	if err != nil {
		return nil, err
	}
	return answer{"devices": list}, nil
}

func (p *Portal) deleteDevice(c *call) (answer, error) {
	return nil, p.engine.ForgetDevice(c.ctx(), c.visitor, c.r.PathValue("id"))
}
