package decisions

import (
	"io"
	"time"
)

// Options are the operator's choices about a log.
type Options struct {
	// Allowed writes one in so many allowed requests, repeats apart; 0 writes none.
	Allowed int
	// Repeats is the time in which an allowed request that only repeats another is not written;
	// 0 writes them all.
	Repeats time.Duration
	// Dropped is told of lines that were lost: the queue was full, or they could not be written.
	Dropped func(lines int)
	// Failed is told why lines could not be written, at most once a minute.
	Failed func(error)
}

const (
	// maxQueue bounds the decisions that wait to be written.
	maxQueue = 4096
	// maxBatch bounds what is written at once, in bytes; lines are never parted.
	maxBatch = 64 << 10
	// complainEvery is how often Failed is told.
	complainEvery = time.Minute
)

// Log writes decisions to a file in a goroutine of its own. Whoever offers one never waits: when
// the queue is full it is dropped. Refusals are all written; of allowed requests the repeats are
// left out, and more when Options says so.
type Log struct {
	options    Options
	queue      chan *Event
	stop, done chan struct{}
	closed     error // set before done is closed

	// The rest belongs to the goroutine.
	w          io.WriteCloser
	repeats    repeats
	allowed    int // since the last one that was written
	batch      []byte
	lines      int // in batch
	complained time.Time
}

// NewLog starts a log that writes to w until Close.
func NewLog(w io.WriteCloser, o Options) *Log {
	l := &Log{
		options: o, w: w, queue: make(chan *Event, maxQueue), stop: make(chan struct{}), done: make(chan struct{}),
		repeats: newRepeats(o.Repeats),
	}
	go l.run()
	return l
}

// offer hands a decision over, or drops it.
func (l *Log) offer(ev *Event) {
	select {
	case <-l.stop:
		l.options.Dropped(1)
		return
	default:
	}
	select {
	case l.queue <- ev:
	default:
		l.options.Dropped(1)
	}
}

// Close writes what waits and closes the file. What is offered later is dropped.
func (l *Log) Close() error {
	close(l.stop)
	<-l.done
	return l.closed
}

func (l *Log) run() {
	defer close(l.done)
	for {
		select {
		case ev := <-l.queue:
			l.take(ev)
		case <-l.stop:
			l.drain()
			l.closed = l.w.Close()
			return
		}
	}
}

// take writes an event and what waits behind it, in batches.
func (l *Log) take(ev *Event) {
	for {
		l.add(ev)
		if len(l.batch) >= maxBatch {
			l.flush(ev.Time)
		}
		select {
		case ev = <-l.queue:
			continue
		default:
		}
		l.flush(ev.Time)
		return
	}
}

// drain writes what waits when the log is closed.
func (l *Log) drain() {
	for {
		select {
		case ev := <-l.queue:
			l.take(ev)
		default:
			return
		}
	}
}

// add puts the line of an event into the batch, unless it is left out.
func (l *Log) add(ev *Event) {
	e := ev.entry()
	if !e.Refused() {
		if l.repeats.seen(&e) {
			return
		}
		if l.allowed++; l.allowed < l.options.Allowed {
			return
		}
		l.allowed = 0
	}
	batch, err := appendLine(l.batch, &e)
	if err != nil {
		l.lose(1, err, e.Time)
		return
	}
	l.batch, l.lines = batch, l.lines+1
}

func (l *Log) flush(now time.Time) {
	if len(l.batch) == 0 {
		return
	}
	if _, err := l.w.Write(l.batch); err != nil {
		l.lose(l.lines, err, now)
	}
	l.batch, l.lines = l.batch[:0], 0
}

// lose tells that lines are lost.
func (l *Log) lose(lines int, err error, now time.Time) {
	l.options.Dropped(lines)
	if l.complained.IsZero() || now.Sub(l.complained) >= complainEvery {
		l.complained = now
		l.options.Failed(err)
	}
}
