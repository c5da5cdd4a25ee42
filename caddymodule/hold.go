package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

// The sizes of forms that are held, in bytes.
const (
	defaultHold = 1 << 20
	minHold     = 1 << 10
	maxHold     = 8 << 20
)

// holdLimit is how large a form may be that is held, in bytes; 0 when none is.
func (a *App) holdLimit() (int64, error) {
	switch a.Hold {
	case "":
		return defaultHold, nil
	case "off":
		return 0, nil
	}
	n, err := humanize.ParseBytes(a.Hold)
	if err != nil || n < minHold || n > maxHold {
		return 0, fmt.Errorf("hold is a size from 1KiB to 8MiB, such as 1MiB, or off; not %q", a.Hold)
	}
	return int64(n), nil
}

// unmarshalHold reads the option. Syntax:
//
//	hold <size>|off
func (a *App) unmarshalHold(d *caddyfile.Dispenser) error {
	if err := oneArg(d, &a.Hold); err != nil {
		return err
	}
	if _, err := a.holdLimit(); err != nil {
		return d.Err(err.Error())
	}
	return nil
}
