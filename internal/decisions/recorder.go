package decisions

// Recorder takes the decisions of gates. The zero value, and nil, take none.
type Recorder struct {
	// Recent keeps refusals in memory; nil keeps none.
	Recent *Recent
	// Log writes decisions; nil writes none.
	Log *Log
}

// Wants tells whether a decision would be kept at all. Gates ask before they make an Event.
func (r *Recorder) Wants(allowed bool) bool {
	switch {
	case r == nil:
		return false
	case allowed:
		return r.Log != nil && r.Log.options.Allowed > 0
	}
	return r.Recent != nil || r.Log != nil
}

// Record keeps a decision. It never blocks.
func (r *Recorder) Record(ev *Event) {
	if r == nil {
		return
	}
	if r.Recent != nil && ev.refused() {
		r.Recent.add(ev)
	}
	if r.Log != nil {
		r.Log.offer(ev)
	}
}
