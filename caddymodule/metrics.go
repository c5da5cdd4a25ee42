package caddymodule

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stepgate/stepgate/internal/audit"
)

// Every configuration has a registry of its own, and the counts must outlive a reload: the
// collectors are made once for the process and registered anew each time. Labels come from
// closed sets; none holds a user, a path or an address.
var (
	judged           = newOutcomes("decisions_total", "Requests that gates have judged, by outcome.")
	reported         = newOutcomes("reported_total", "Requests that rules with report_only matched, by the outcome that they would have had.")
	droppedDecisions = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: "stepgate", Name: "decision_log_dropped_total", Help: "Decisions that the decision log lost.",
	})
	heldForms = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "stepgate", Name: "held_forms_total", Help: "Forms that met a step-up, by what became of them.",
	}, []string{"result"})
	events = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: "stepgate", Name: "events_total", Help: "What happened to accounts and sessions, by kind.",
	}, []string{"kind"})
)

// outcomes counts decisions. Its counters are found without a lookup by label.
type outcomes struct {
	vec   *prometheus.CounterVec
	known map[string]prometheus.Counter
	other prometheus.Counter
}

func newOutcomes(name, help string) *outcomes {
	o := &outcomes{
		vec: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "stepgate", Name: name, Help: help,
		}, []string{"outcome"}),
		known: make(map[string]prometheus.Counter),
	}
	for _, name := range []string{"allow", "sign_in", "step_up", "deny", "refuse", "refused", "portal"} {
		o.known[name] = o.vec.WithLabelValues(name)
	}
	o.other = o.vec.WithLabelValues("other")
	return o
}

func (o *outcomes) count(outcome string) {
	if c := o.known[outcome]; c != nil {
		c.Inc()
		return
	}
	o.other.Inc()
}

// registerMetrics shows the collectors in the registry of a configuration.
func registerMetrics(registry *prometheus.Registry) error {
	for _, c := range []prometheus.Collector{judged.vec, reported.vec, droppedDecisions, heldForms, events} {
		var again prometheus.AlreadyRegisteredError
		if err := registry.Register(c); err != nil && !errors.As(err, &again) {
			return fmt.Errorf("metrics: %w", err)
		}
	}
	return nil
}

func countEvent(ev audit.Event) { events.WithLabelValues(string(ev.Kind)).Inc() }
