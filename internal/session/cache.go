package session

import (
	"hash/maphash"
	"sync"
	"time"
)

const cacheShards = 64

// cache holds loaded sessions by cookie value. It is bounded: a full shard gives up some
// entry to take a new one. Entries go at once when their session or user changes.
//
// A load that was under way while its session changed must not put the old value back.
// Each shard therefore counts its invalidations, and put refuses a value that was read
// under an earlier count.
type cache struct {
	seed   maphash.Seed
	shards [cacheShards]shard
	index  index
	limit  int // entries per shard
}

type shard struct {
	mu      sync.RWMutex
	entries map[string]entry
	epoch   uint64
}

type entry struct {
	session  *Session
	loadedAt time.Time
}

// index finds the cookies of a session or of a user, for invalidation.
type index struct {
	mu     sync.Mutex
	byID   map[string]string
	byUser map[string]map[string]struct{}
}

func newCache(capacity int) *cache {
	c := &cache{seed: maphash.MakeSeed(), limit: max(1, capacity/cacheShards)}
	for i := range c.shards {
		c.shards[i].entries = make(map[string]entry)
	}
	c.index.byID = make(map[string]string)
	c.index.byUser = make(map[string]map[string]struct{})
	return c
}

func (c *cache) shard(cookie string) *shard {
	return &c.shards[maphash.String(c.seed, cookie)%cacheShards]
}

func (c *cache) get(cookie string) (entry, bool) {
	s := c.shard(cookie)
	s.mu.RLock()
	e, ok := s.entries[cookie]
	s.mu.RUnlock()
	return e, ok
}

// epoch is read before a load and handed to put after it.
func (c *cache) epoch(cookie string) uint64 {
	s := c.shard(cookie)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.epoch
}

// put keeps a loaded session unless its shard was invalidated since epoch. The index
// changes under the shard's lock, so that an entry is never without its index.
func (c *cache) put(cookie string, e entry, epoch uint64) {
	s := c.shard(cookie)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	old, known := s.entries[cookie]
	if known {
		// The store may be a minute behind in the time of last access.
		e.session.touch(old.session.LastAccess())
	} else if len(s.entries) >= c.limit {
		for k, v := range s.entries { // map order is random enough for a victim
			delete(s.entries, k)
			c.index.remove(k, v.session)
			break
		}
	}
	s.entries[cookie] = e
	c.index.add(cookie, e.session)
}

// dropSession forgets one session. Loads under way are invalidated in every shard,
// because the cookie of a session that is not cached yet is not known.
func (c *cache) dropSession(id string) {
	c.bump()
	c.index.mu.Lock()
	cookie, ok := c.index.byID[id]
	c.index.mu.Unlock()
	if ok {
		c.remove(cookie)
	}
}

// dropUser forgets all sessions of a user.
func (c *cache) dropUser(userID string) {
	c.bump()
	c.index.mu.Lock()
	cookies := make([]string, 0, len(c.index.byUser[userID]))
	for k := range c.index.byUser[userID] {
		cookies = append(cookies, k)
	}
	c.index.mu.Unlock()
	for _, k := range cookies {
		c.remove(k)
	}
}

// dropAll forgets everything, after the store lost continuity.
func (c *cache) dropAll() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.epoch++
		for k, e := range s.entries {
			c.index.remove(k, e.session)
		}
		clear(s.entries)
		s.mu.Unlock()
	}
}

func (c *cache) bump() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.epoch++
		s.mu.Unlock()
	}
}

func (c *cache) remove(cookie string) {
	s := c.shard(cookie)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.entries[cookie]; ok {
		delete(s.entries, cookie)
		c.index.remove(cookie, e.session)
	}
}

// all returns the cached sessions, for the flush of access times.
func (c *cache) all() []*Session {
	var out []*Session
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		for _, e := range s.entries {
			out = append(out, e.session)
		}
		s.mu.RUnlock()
	}
	return out
}

func (x *index) add(cookie string, s *Session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.byID[s.ID] = cookie
	set := x.byUser[s.UserID]
	if set == nil {
		set = make(map[string]struct{})
		x.byUser[s.UserID] = set
	}
	set[cookie] = struct{}{}
}

func (x *index) remove(cookie string, s *Session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.byID[s.ID] == cookie {
		delete(x.byID, s.ID)
	}
	set := x.byUser[s.UserID]
	delete(set, cookie)
	if len(set) == 0 {
		delete(x.byUser, s.UserID)
	}
}
