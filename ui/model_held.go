package ui

import (
	"html/template"
	"strings"
)

// Repeat sends what was entered before a challenge on its way: a form that posts, as text/plain,
// the field Name with Value to Action. A script sends it at once; the button is there for
// everybody else. The application answers it, and may lead anywhere.
//
// The button "Cancel" posts csrf, flow, action=cancel to [PathChallenge].
type Repeat struct {
	Common
	Target Target
	// Action is the path with query that it was sent to, byte for byte.
	Action      string
	Name, Value string
}

func (Repeat) name() string    { return "repeat" }
func (m Repeat) title() string { return "Sending to " + m.Target.Short() }

// handsOver marks a page whose form an application answers.
func (Repeat) handsOver() {}

// ActionAttribute is the attribute of the form. The package html/template would spell some bytes
// of an address anew; the address must stay the one that was asked for.
func (m Repeat) ActionAttribute() template.HTMLAttr {
	if !strings.HasPrefix(m.Action, "/") || len(m.Action) > 1 && (m.Action[1] == '/' || m.Action[1] == '\\') {
		return `action="/"`
	}
	return template.HTMLAttr(`action="` + template.HTMLEscapeString(m.Action) + `"`) //nolint:gosec // G203: escaped here, and a path of our own origin
}

// TooLarge says that what was entered cannot be kept during a challenge. It has no form.
type TooLarge struct {
	Target Target
	// Limit is what can be kept, in bytes.
	Limit int64
	// Next is the path of the challenge.
	Next string
}

func (TooLarge) name() string  { return "too-large" }
func (TooLarge) title() string { return "Confirm it’s you, then send this again" }
