package caddymodule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/logging"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/decisions"
)

// DecisionLogConfig says where decisions are written: one line of JSON for each refusal, and for
// each allowed request that does not only repeat another. A line holds who asked, with which
// factors of which age, for what, and which rule decided. Of queries, headers and custom claims
// it holds what some rule reads; it never holds a body, a cookie, a token or a password.
//
// Lines are written behind the requests: a log that is slow or full drops lines and counts them
// in `stepgate_decision_log_dropped_total`, and fails no request.
type DecisionLogConfig struct {
	// File is the file, with the options of Caddy's own log files. Its mode is always 0600.
	File logging.FileWriter `json:"file"`
	// Allowed says which allowed requests are written, repeats apart: all, none, or one in so
	// many, such as 1/100. Refusals are all written.
	// Default: all.
	Allowed string `json:"allowed,omitempty"`
	// Repeats is the time in which an allowed request is not written again: the same visitor
	// with the same factors, method, address and query, and the same rule. 0 writes them all.
	// Default: 10m.
	Repeats *caddy.Duration `json:"repeats,omitempty"`
}

const (
	defaultRepeats = 10 * time.Minute
	maxRepeats     = 24 * time.Hour
	maxSample      = 1_000_000
)

// options are the choices as the log reads them.
func (c *DecisionLogConfig) options() (decisions.Options, error) {
	o := decisions.Options{Repeats: defaultRepeats}
	if c.Repeats != nil {
		o.Repeats = time.Duration(*c.Repeats)
	}
	if o.Repeats < 0 || o.Repeats > maxRepeats {
		return o, errors.New("repeats is 0 to 24h")
	}
	switch c.Allowed {
	case "", "all":
		o.Allowed = 1
	case "none":
	default:
		text, ok := strings.CutPrefix(c.Allowed, "1/")
		n, err := strconv.Atoi(text)
		if !ok || err != nil || n < 1 || n > maxSample {
			return o, fmt.Errorf("allowed is all, none, or one in so many, such as 1/100; not %q", c.Allowed)
		}
		o.Allowed = n
	}
	return o, nil
}

// provision checks the options and opens nothing.
func (c *DecisionLogConfig) provision(ctx caddy.Context) error {
	if _, err := c.options(); err != nil {
		return err
	}
	if c.File.Filename == "" {
		return errors.New("file: the log has no file name")
	}
	c.File.Mode = 0o600
	return c.File.Provision(ctx)
}

// unmarshal reads the option. Syntax:
//
//	decision_log <file> {
//		allowed all|none|1/<number>
//		repeats <duration>
//		roll_size|roll_keep|roll_keep_for|… …
//	}
//
// Options that begin with “roll” are those of Caddy's “output file”.
func (c *DecisionLogConfig) unmarshal(d *caddyfile.Dispenser) error {
	file := []caddyfile.Token{d.Token()}
	var name string
	if err := oneArg(d, &name); err != nil {
		return err
	}
	open := d.Token()
	file = append(file, open)
	open.Text = "{"
	file = append(file, open)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice", option)
		}
		seen[option] = true
		switch {
		case option == "allowed":
			if err := oneArg(d, &c.Allowed); err != nil {
				return err
			}
		case option == "repeats":
			if err := c.unmarshalRepeats(d); err != nil {
				return err
			}
		case strings.HasPrefix(option, "roll"):
			file = append(file, d.NextSegment()...)
		default:
			return d.Errf("unrecognized option %q; expected allowed, repeats, or one of Caddy's that begin with roll", option)
		}
		if _, err := c.options(); err != nil {
			return d.Err(err.Error())
		}
	}
	closing := file[len(file)-1]
	closing.Line, closing.Text = closing.Line+1, "}"
	return c.File.UnmarshalCaddyfile(caddyfile.NewDispenser(append(file, closing)))
}

func (c *DecisionLogConfig) unmarshalRepeats(d *caddyfile.Dispenser) error {
	var text string
	if err := oneArg(d, &text); err != nil {
		return err
	}
	span, err := caddy.ParseDuration(text)
	if err != nil {
		return d.Errf("%q is no duration; write one like 10m, or 0 to write every request", text)
	}
	repeats := caddy.Duration(span)
	c.Repeats = &repeats
	return nil
}

// decisionLogs holds the logs that are open, by their options: configurations that overlap
// during a reload write to one.
var decisionLogs = caddy.NewUsagePool()

// decisionLog is an open log in the pool.
type decisionLog struct{ *decisions.Log }

// Destruct implements caddy.Destructor.
func (l decisionLog) Destruct() error { return l.Close() }

// key tells logs with the same options from others.
func (c *DecisionLogConfig) key() string { return string(caddyconfig.JSON(c, nil)) }

// open opens the log, or finds it open. closeDecisionLog gives it back.
func (c *DecisionLogConfig) open(logger *zap.Logger) (*decisions.Log, error) {
	value, _, err := decisionLogs.LoadOrNew(c.key(), func() (caddy.Destructor, error) {
		o, err := c.options()
		if err != nil {
			return nil, err
		}
		w, err := c.File.OpenWriter()
		if err != nil {
			return nil, err
		}
		o.Dropped = func(lines int) { droppedDecisions.Add(float64(lines)) }
		o.Failed = func(err error) { logger.Error("decisions are not written to the decision log", zap.Error(err)) }
		return decisionLog{decisions.NewLog(w, o)}, nil
	})
	if err != nil {
		return nil, fmt.Errorf("decision_log: %w", err)
	}
	return value.(decisionLog).Log, nil
}

// close gives an open log back; the last one to do so closes it.
func (c *DecisionLogConfig) close() error {
	_, err := decisionLogs.Delete(c.key())
	return err
}
