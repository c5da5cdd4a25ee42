package caddymodule

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fsnotify/fsnotify"
	"go.uber.org/zap"

	"github.com/stepgate/stepgate/internal/portal"
	"github.com/stepgate/stepgate/policy"
)

// settle is how long a file must be quiet before it is read: editors write in several steps.
const settle = 200 * time.Millisecond

// policyFiles are the policy files of one configuration. They are complete once provisioning
// is over, and watched from Start on.
type policyFiles struct {
	logger *zap.Logger
	files  map[string]*policyFile
	// loose are inline rules that name no requirement of a file.
	loose []*inlinePolicy
}

// policyFile is one file and the policy that is in force.
type policyFile struct {
	path    string
	sum     [sha256.Size]byte
	current atomic.Pointer[policy.Policy]
	// refusal is why the newest content is not in force; nil when it is.
	refusal atomic.Pointer[policyRefusal]
	// inline are the rules of the configuration that name requirements of the file.
	inline []*inlinePolicy
}

// inlinePolicy is a rule of the configuration, compiled.
type inlinePolicy struct {
	rule *InlineRule
	// guards is set for the rule of a gate, not for what a matcher asks.
	guards  bool
	current atomic.Pointer[policy.Policy]
}

// inline compiles a rule with the requirements of the file at path, or with none when path is
// empty, and returns what is in force: the file's later changes apply to the rule too.
func (p *policyFiles) inline(rule *InlineRule, path string, guards bool) (func() *policy.Policy, error) {
	i := &inlinePolicy{rule: rule, guards: guards}
	var base *policy.Policy
	if path != "" {
		f, err := p.get(path)
		if err != nil {
			return nil, err
		}
		f.inline, base = append(f.inline, i), f.current.Load()
	} else {
		p.loose = append(p.loose, i)
	}
	compiled, err := rule.policy(base)
	if err != nil {
		return nil, fmt.Errorf("rule %q: %w", rule.name(), err)
	}
	i.current.Store(compiled)
	return i.current.Load, nil
}

// inForce lists every policy that a gate asks, files first.
func (p *policyFiles) inForce() []portal.PolicyInForce {
	var out, inline []portal.PolicyInForce
	seen := make(map[string]bool)
	add := func(list []*inlinePolicy) {
		for _, i := range list {
			if i.guards && !seen[i.rule.name()] {
				seen[i.rule.name()] = true
				inline = append(inline, portal.PolicyInForce{Name: i.rule.name(), Policy: i.current.Load()})
			}
		}
	}
	for _, path := range slices.Sorted(maps.Keys(p.files)) {
		f := p.files[path]
		one := portal.PolicyInForce{Name: path, Policy: f.current.Load()}
		if r := f.refusal.Load(); r != nil {
			one.Refused = r.lines()
		}
		out = append(out, one)
		add(f.inline)
	}
	add(p.loose)
	return append(out, inline...)
}

// asked are the policies in force, without their names.
func (p *policyFiles) asked() []*policy.Policy {
	var out []*policy.Policy
	for _, one := range p.inForce() {
		out = append(out, one.Policy)
	}
	return out
}

// lines says what is wrong, a mistake a line.
func (r *policyRefusal) lines() []string {
	var out []string
	if r.Error != "" {
		out = append(out, r.Error)
	}
	for _, problem := range r.Problems {
		out = append(out, problem.String())
	}
	return out
}

// policyRefusal is a policy file whose newest content was refused.
type policyRefusal struct {
	File     string           `json:"file"`
	Error    string           `json:"error,omitempty"`
	Problems []policy.Problem `json:"problems,omitempty"`
}

// refused lists the files whose newest content is not in force.
func (p *policyFiles) refused() []policyRefusal {
	var out []policyRefusal
	for _, path := range slices.Sorted(maps.Keys(p.files)) {
		if r := p.files[path].refusal.Load(); r != nil {
			out = append(out, *r)
		}
	}
	return out
}

func newPolicyFiles(logger *zap.Logger) *policyFiles {
	return &policyFiles{logger: logger, files: make(map[string]*policyFile)}
}

// add loads a file. A file that is missing or wrong stops the configuration from loading.
func (p *policyFiles) add(path string) error {
	_, err := p.get(path)
	return err
}

// get returns a file, loading it on first use.
func (p *policyFiles) get(path string) (*policyFile, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if f := p.files[path]; f != nil {
		return f, nil
	}
	f := &policyFile{path: path}
	if _, err := f.load(); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p.files[path] = f
	return f, nil
}

// load reads the file and, if it changed and is valid, puts it in force.
func (f *policyFile) load() (changed bool, err error) {
	data, err := os.ReadFile(f.path)
	if err != nil {
		f.sum = [sha256.Size]byte{} // whatever it holds when it can be read again is a change
		return false, err
	}
	sum := sha256.Sum256(data)
	if f.current.Load() != nil && sum == f.sum {
		return false, nil
	}
	f.sum = sum
	loaded, err := policy.Load(f.path, data)
	if err != nil {
		return false, err
	}
	inline := make([]*policy.Policy, len(f.inline))
	for i := range f.inline {
		if inline[i], err = f.inline[i].rule.policy(loaded); err != nil {
			return false, fmt.Errorf("%s does not fit the configuration's rule %q: %w", f.path, f.inline[i].rule.name(), err)
		}
	}
	f.current.Store(loaded)
	for i := range inline {
		f.inline[i].current.Store(inline[i])
	}
	return true, nil
}

// watch follows the files until ctx is done. It watches their directories, because editors
// and configuration managers replace files rather than write to them.
func (p *policyFiles) watch(ctx context.Context) error {
	if len(p.files) == 0 {
		return nil
	}
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch policy files: %w", err)
	}
	for path := range p.files {
		if err := w.Add(filepath.Dir(path)); err != nil {
			return errors.Join(fmt.Errorf("watch policy file %s: %w", path, err), w.Close())
		}
	}
	go p.follow(ctx, w)
	return nil
}

func (p *policyFiles) follow(ctx context.Context, w *fsnotify.Watcher) {
	defer func() {
		if err := w.Close(); err != nil {
			p.logger.Warn("close the watch on policy files", zap.Error(err))
		}
	}()
	quiet := time.NewTimer(settle)
	waiting := true
	for {
		select {
		case <-ctx.Done():
			return
		case event, ok := <-w.Events:
			if !ok {
				return
			}
			// Other files of the directory count too, because a policy may be reached through a
			// link that is swapped. But only the policy's own changes put the reading off: a log
			// in the same directory may never be quiet.
			if _, own := p.files[event.Name]; own || !waiting {
				quiet.Reset(settle)
				waiting = true
			}
		case err, ok := <-w.Errors:
			if !ok {
				return
			}
			p.logger.Warn("watch policy files", zap.Error(err))
		case <-quiet.C:
			waiting = false
			p.reload()
		}
	}
}

// reload reads all files again. An invalid one is refused and the old policy stays.
func (p *policyFiles) reload() {
	for _, f := range p.files {
		changed, err := f.load()
		var bad *policy.LoadError
		switch {
		case errors.As(err, &bad):
			for _, problem := range bad.Problems {
				p.logger.Error("policy file refused, the policy in force stays", zap.String("problem", problem.String()))
			}
			f.refusal.Store(&policyRefusal{File: f.path, Problems: bad.Problems})
		case err != nil:
			p.logger.Error("policy file cannot be read, the policy in force stays", zap.String("file", f.path), zap.Error(err))
			f.refusal.Store(&policyRefusal{File: f.path, Error: err.Error()})
		case changed:
			p.logger.Info("policy file applied", zap.String("file", f.path))
			f.refusal.Store(nil)
		}
	}
}
